"""A picture's file, or its bytes: opened without waiting, and its first bytes, by which its format is recognised."""

from __future__ import annotations

import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stego_cli.errors import PhotoError

FileOrBytes = Path | bytes  # a file, or the content of one

MAX_PIXELS = 178_956_970  # Pillow's own limit, 540 MB of RGB: a larger header is refused before memory is taken
_MAX_SIDE = 1_000_000  # pixels; Pillow takes time that grows with the square of a row
_MOST_CONTENT = 1 << 30  # bytes of a file that is read into memory as a whole
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints its errors on standard error
HEAD = 64  # bytes that are enough to recognise every format of the table
# A named pipe without a writer would block the open; these flags do not exist on Windows, where there are none.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_source(source: FileOrBytes) -> BinaryIO:
    """Open a picture's bytes for reading.

    Raises:
        PhotoError: it is not a regular file, or cannot be opened.
    """
    return io.BytesIO(source) if isinstance(source, bytes) else os.fdopen(_opened(source), "rb")


def head_of(source: FileOrBytes) -> bytes:
    """Return the first `HEAD` bytes of a picture.

    Raises:
        PhotoError: it is not a regular file, or cannot be read.
    """
    if isinstance(source, bytes):
        return source[:HEAD]
    descriptor = _opened(source)
    try:
        return os.read(descriptor, HEAD)
    except OSError as error:
        raise PhotoError(reason_of(error)) from error
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    """Open a regular file and nothing else: opening a device may have side effects."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PhotoError("not a regular file")
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise PhotoError(reason_of(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # it was replaced in between
        os.close(descriptor)
        raise PhotoError("not a regular file")
    return descriptor


def content_of(source: FileOrBytes) -> bytes:
    """Return all bytes of a picture.

    Raises:
        PhotoError: it is not a regular file, or cannot be read.
    """
    if isinstance(source, bytes):
        return source
    require_content_size(source)
    with open_source(source) as stream:
        try:
            return stream.read(_MOST_CONTENT)
        except OSError as error:
            raise PhotoError(reason_of(error)) from error


def require_content_size(source: FileOrBytes) -> None:
    """Refuse a file that is too large to be read into memory, as some formats have to be.

    Raises:
        PhotoError: it is, or cannot be looked at.
    """
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError as error:
        raise PhotoError(reason_of(error)) from error
    if size > _MOST_CONTENT:
        raise PhotoError(f"a file of {size >> 20} MB, too large for its format")


def require_size(width: int, height: int) -> None:
    """Refuse a picture that is too large, or has no pixels, going by its header.

    Raises:
        PhotoError: it is.
    """
    if width < 1 or height < 1:
        raise PhotoError(f"a picture without pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels ({width} x {height})")
    if max(width, height) > _MAX_SIDE:
        raise PhotoError(f"more than a million pixels on a side ({width} x {height})")


def reason_of(error: BaseException) -> str:
    """Return an error of a decoder or the system as one line of text."""
    if isinstance(error, MemoryError):
        return "not enough memory to decode it"
    text = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return text[0] if text and text[0] else type(error).__name__


class _Quiet:
    """Hides the warnings of picture libraries while any thread is inside.

    `warnings.catch_warnings` alone is not safe with threads: it restores the filters that it found, which may be those
    of another thread that has left since. Here the first to enter sets them and the last to leave restores them.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._caught = threading.Lock(), 0, warnings.catch_warnings()

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif|rasterio|stego_cli\.(images|sources))\b")
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings of picture libraries (broken metadata, large headers): this room decides what is refused."""
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()
