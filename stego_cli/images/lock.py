"""One run an output folder: a lock that the system lets go when its holder dies."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stego_cli.errors import OutputError


@contextmanager
def hold(file: Path, folder: Path | None = None, shared: bool = False) -> Iterator[None]:
    """Hold the lock `file` (its folder must exist), which stands for `folder` (its own), until the block ends.

    A `shared` one is held by any number of runs, but not beside one that is not shared.

    Raises:
        OutputError: another run holds it, and the message names that run; or it cannot be written or locked.
    """
    descriptor = -1
    try:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            free = _lock(descriptor, shared)
            if free:
                _write_name(descriptor)
        except OSError as error:
            raise OutputError(
                f"{file} cannot be written and locked: {error.strerror or error}.",
                "Free some space or choose another --out.",
            ) from error
        if not free:
            raise OutputError(
                f"Another run is writing to {folder or file.parent}: {_holder(file)}.",
                "Wait for it, stop it, or give this run another --out.",
            )
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _write_name(descriptor: int) -> None:
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(holder).encode())


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, shared: bool) -> bool:
        if shared:  # Windows has none; runs that share keep a lock of their own each
            return True
        try:
            # Beyond the text, since Windows locks forbid reading what they cover.
            os.lseek(descriptor, 4096, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:  # any other error says that this file system does not lock
            return False
        return True


def _holder(file: Path) -> str:
    try:
        holder = json.loads(file.read_text())
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has not said its name yet"
