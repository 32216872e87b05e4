"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

from stego_cli.errors import OutputError
from stego_cli.text import shown

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # the last on Windows
DISCOVERY = ".stego-discover-"  # how the name of a discovery's scratch folder begins: ours beyond doubt


def write_bytes(target: Path, content: bytes, scratch: Path | None = None) -> None:
    """Write `content` to `target` through a temporary file that is renamed at the end.

    Args:
        target: the file; its folder is made if it is missing.
        content: all of it.
        scratch: folder on the same file system for the temporary file; None: beside the target.

    Raises:
        OutputError: the disk is full, the folder read-only, or the name refused. No temporary file is left.
    """
    # A short name of our own: the target's may already be as long as the file system allows.
    temporary = (scratch or target.parent) / f".stego-{uuid.uuid4().hex[:16]}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}.", "Free some space or choose another --out."
        ) from error


def write_new(target: str, pieces: Iterable[bytes]) -> int:
    """Write a file that is not there yet, in place and for speed: with as few system calls as there can be.

    One that is there is removed first and not written through, since it may be a hard link.

    Args:
        target: the file, as text, since a Path costs more than the system calls; its folder must exist.
        pieces: its content.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        try:
            descriptor = os.open(target, _NEW, 0o666)
        except FileExistsError:
            os.unlink(target)  # noqa: PTH108
            descriptor = os.open(target, _NEW, 0o666)
        try:
            size = 0
            for piece in pieces:
                size += len(piece)
                while piece:
                    piece = piece[os.write(descriptor, piece) :]
            return size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise OutputError(
            f"{shown(target)} cannot be written: {error.strerror or error}.", "Free some space."
        ) from error


def append_line(target: Path, line: str) -> None:
    """Add a line to a text file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        with target.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror or error}.", "Free some space.") from error


def require_writable(folder: Path) -> None:
    """Make `folder` and prove that a file can be made in it.

    Raises:
        OutputError: it cannot.
    """
    probe = folder / f".stego-{uuid.uuid4().hex[:16]}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}.", "Choose another --out.") from error


def require_writable_files(*files: Path | None) -> None:
    """Find out before the work, not after it, that its result cannot be written; None and "-" are no files.

    Raises:
        OutputError: a file cannot be written.
    """
    for file in files:
        if file is not None and str(file) != "-":
            if file.is_dir():
                raise OutputError(f"{file} is a folder.", "Give the name of a file.")
            require_writable(file.parent)


def remove_leftovers(scratch: Path) -> None:
    """Delete temporary files, and folders of a discovery, that a killed run left in `scratch`."""
    for file in scratch.glob(".stego-*.tmp"):
        file.unlink(missing_ok=True)
    for folder in scratch.glob(f"{DISCOVERY}*"):
        shutil.rmtree(folder, ignore_errors=True)


def sha256(file: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
