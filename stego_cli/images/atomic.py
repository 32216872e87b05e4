"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stego_cli.errors import OutputError, RefusedNameError, setting
from stego_cli.stop import on_leave
from stego_cli.text import shown

# Errors that are about one name; all others would meet every further file too.
_REFUSED_NAME = frozenset({errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ})
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)  # 0 on Windows
_OF_MASKS = frozenset({".png", ".csv", ".mkv", ".mp4"})  # files in a folder of masks of one video
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # the last on Windows
DISCOVERY = ".stego-discover-"  # how the name of a discovery's scratch folder begins: ours beyond doubt


def write_bytes(target: Path, content: bytes, scratch: Path | None = None, below: Path | None = None) -> None:
    """Write `content` to `target` through a temporary file that is renamed at the end.

    Args:
        target: the file; its folder is made if it is missing.
        content: all of it.
        scratch: folder on the same file system for the temporary file; None: beside the target.
        below: a folder around the target; none between them may be a link. None: they may.

    Raises:
        RefusedNameError: the file system does not take this name, or with `scratch` its folder is closed; other files
            can be written.
        OutputError: no file can be written: the disk is full, the folder read-only, or a folder is a link.
            In either case no temporary file is left.
    """
    # A short name of our own: the target's may already be as long as the file system allows.
    temporary = (scratch or target.parent) / f".stego-{uuid.uuid4().hex[:16]}.tmp"
    if below is not None:
        require_no_links(below, target.parent)
    try:
        with _about_name(target, scratch is not None):
            target.parent.mkdir(parents=True, exist_ok=True)
        with on_leave(lambda: temporary.unlink(missing_ok=True)):
            try:
                with temporary.open("wb") as stream:
                    stream.write(content)
                with _about_name(target, scratch is not None):
                    temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(
            f"{shown(target)} cannot be written: {error.strerror or error}.",
            f"Free some space or choose another {setting('out')}.",
        ) from error


@contextmanager
def _about_name(target: Path, elsewhere: bool) -> Iterator[None]:
    """Tell a refusal of a file's name from what every other file would meet too.

    With `elsewhere`, files of a run are in several folders: that one of them is closed stops no other.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _REFUSED_NAME:
            raise RefusedNameError(
                f"{shown(target)} cannot be written: the file system refuses the name ({error.strerror}).",
                "Choose another name.",
            ) from error
        if elsewhere and error.errno in (errno.EACCES, errno.EPERM):
            raise RefusedNameError(
                f"{shown(target)} cannot be written: {error.strerror}.", "Make its folder writable."
            ) from error
        raise


def require_no_links(root: Path, folder: Path) -> None:
    """Refuse a folder below `root` that is a link, or is reached through one: what is written there would be elsewhere.

    `root` itself may be one, and folders that do not exist yet are none.

    Raises:
        OutputError: it is.
    """
    path = root
    for part in folder.relative_to(root).parts:
        path /= part
        if path.is_symlink():
            raise OutputError(
                f"{shown(path)} is a link to another folder, and nothing is written through one.",
                f"Remove the link or choose another {setting('out')}.",
            )


def open_own(file: Path, flags: int) -> int:
    """Open a file that this tool keeps for itself, such as a lock, or make it; return its descriptor.

    What is not a regular file of one name is refused: writing to a link would change a file elsewhere, and opening a
    pipe would wait for ever.

    Args:
        file: its folder must exist.
        flags: those of `os.open`, beside the ones that see to this.

    Raises:
        OutputError: it is a link, or not a file.
        OSError: it cannot be opened.
    """
    descriptor = -1
    try:
        descriptor = os.open(file, flags | os.O_CREAT | _NO_LINK, 0o644)
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_nlink < 2 and (_NO_LINK or not file.is_symlink()):
            return descriptor
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EMLINK, errno.ENXIO):  # a link; the same on BSD; a pipe
            raise
    if descriptor >= 0:
        os.close(descriptor)
    raise OutputError(
        f"{shown(file)} is a link, or not a file, and nothing is written to it.",
        f"Remove it or choose another {setting('out')}.",
    )


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
        raise OutputError(
            f"{shown(target)} cannot be written: {error.strerror or error}.", "Free some space."
        ) from error


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
        raise OutputError(
            f"{shown(folder)} cannot be written: {error.strerror or error}.", f"Choose another {setting('out')}."
        ) from error


def require_writable_files(*files: Path | None) -> None:
    """Find out before the work, not after it, that its result cannot be written; None and "-" are no files.

    Raises:
        OutputError: a file cannot be written.
    """
    for file in files:
        if file is not None and str(file) != "-":
            if file.is_dir():
                raise OutputError(f"{shown(file)} is a folder.", "Give the name of a file.")
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


def digest(path: Path) -> str:
    """Return the sha256 of a file or, of a folder of masks, that of its files' names and hashes, in hexadecimal."""
    if not path.is_dir():
        return sha256(path)
    listed = sorted((file.name, sha256(file)) for file in path.iterdir() if file.suffix in _OF_MASKS)
    return hashlib.sha256(repr(listed).encode()).hexdigest()
