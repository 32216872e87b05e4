"""Opening and reading files that a user names, or that lie where others can put them: regular files, never a pipe."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> io.FileIO:
    """Open a regular file for reading, unbuffered. Others are refused: reading a pipe or a device may never end.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError as error:  # a name with a NUL
        raise OSError(errno.EINVAL, "No such name", str(path)) from error
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise _not_regular(path) from error
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise OSError(errno.EISDIR, "Is a directory", str(path)) if stat.S_ISDIR(mode) else _not_regular(path)
    return io.FileIO(descriptor)


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        most: bytes; a larger file is refused before it is read.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise _too_large(path, most)
        with io.BufferedReader(file) as stream:
            content = stream.read(most + 1)
    if len(content) > most:  # files of /proc tell no size
        raise _too_large(path, most)
    return content


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "Not a regular file", str(path))


def _too_large(path: Path, most: int) -> OSError:
    return OSError(errno.EFBIG, f"It is larger than {most / 1e6:.0f} MB", str(path))
