"""One run an output folder: a lock that the system releases when its holder dies.

Where the file system has no locks, a file that only one run can make takes their place. A crashed run leaves it behind;
it names its process, so that the next run on the same machine can tell that it is stale.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from stego_cli.checked_json import parse
from stego_cli.errors import OutputError, setting
from stego_cli.images.atomic import open_own
from stego_cli.regular_file import read_regular
from stego_cli.text import shown

# What file systems without locks answer: some network ones, and some of containers and of user space.
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK})


_LARGEST = 4096  # bytes of a lock


@dataclass(frozen=True)
class _Holder:
    """What a lock says of the run that holds it."""

    pid: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    host: str
    since: str
    started: str = ""  # when the process was started, in the system's own unit; "": unknown


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)


@contextmanager
def hold(
    file: Path, folder: Path | None = None, shared: bool = False, warn: Callable[[str], None] = _warn
) -> Iterator[None]:
    """Hold the lock `file` (its folder must exist), which stands for `folder` (its own), until the block ends.

    A `shared` one is held by any number of runs, but not beside one that is not shared.

    Args:
        file: a file of this tool's own; what it holds is replaced.
        folder: named in messages.
        shared: see above. Without locks of the file system nothing keeps a run away that does not share.
        warn: told where the file system has no locks.

    Raises:
        OutputError: another run holds it, and the message names that run; it is a link or not a file; or it cannot be
            written or locked.
    """
    folder = folder or file.parent
    with contextlib.ExitStack() as held:
        try:
            descriptor = open_own(file, os.O_RDWR)
            held.callback(os.close, descriptor)
            try:
                free = _lock(descriptor, shared)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                warn(
                    f"{shown(folder)} is on a file system without locks ({error.strerror}); "
                    "a file takes the place of the lock."
                )
                free = shared or _make_exclusive(file, held)
            if free:
                _write_name(descriptor)
        except OSError as error:
            raise OutputError(
                f"{shown(file)} cannot be written and locked: {error.strerror or error}.",
                f"Free some space or choose another {setting('out')}.",
            ) from error
        if not free:
            raise OutputError(
                f"Another run is writing to {shown(folder)}: {_described(_holder(file))}.",
                f"Wait for it, stop it, or choose another {setting('out')}.",
            )
        yield


def _make_exclusive(file: Path, held: contextlib.ExitStack) -> bool:
    """Make the file that takes the place of a lock; False if another run has made it.

    Raises:
        OSError: it cannot be made.
        OutputError: it was made on another machine, where this one cannot see whether that run goes on.
    """
    instead = file.with_name(f"{file.name}.held")
    for _ in range(2):
        try:
            descriptor = os.open(instead, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            holder = _holder(instead)
            if holder is None or holder.host != socket.gethostname():
                raise OutputError(
                    f"Another run is writing to {shown(file.parent)}: {_described(holder)}.",
                    f"Wait for it. If it is no more, remove {shown(instead)}.",
                ) from None
            if _is_alive(holder):
                return False
            instead.unlink(missing_ok=True)  # its run has crashed
            continue
        try:
            _write_name(descriptor)
        finally:
            os.close(descriptor)
        held.callback(instead.unlink, missing_ok=True)
        return True
    return False


def _write_name(descriptor: int) -> None:
    pid = os.getpid()
    holder = _Holder(pid, socket.gethostname(), time.strftime("%Y-%m-%d %H:%M:%S"), _started(pid))
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps(asdict(holder)).encode())


def _started(pid: int) -> str:
    """Return when a process was started, in the system's own unit; "" where that cannot be found out."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _is_alive(holder: _Holder) -> bool:
    """Return whether the process of this machine that a lock names still runs; another of its number does not count."""
    if sys.platform == "win32":
        return True  # there `os.kill` ends the process
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return holder.started == _started(holder.pid)


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


def _holder(file: Path) -> _Holder | None:
    """Return what a lock file says of its holder; None if that cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return parse(read_regular(file, _LARGEST), _Holder)
    return None


def _described(holder: _Holder | None) -> str:
    if holder is None:
        return "a process whose name cannot be read"
    return shown(f"process {holder.pid} on {holder.host}, since {holder.since}")
