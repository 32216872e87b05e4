"""Archives as people download them, read without being unpacked.

The names in an archive never decide where a file is written: members are read into memory by name, and the names of
files on disk are made elsewhere. Even so an archive with a suspicious member is refused as a whole: names that are
absolute or have "..", links that lead out of it, devices and pipes. Other links are skipped and never followed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import posixpath
import stat
import sys
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from stego_cli.errors import OutputError, SourceError
from stego_cli.regular_file import open_regular
from stego_cli.text import shown

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_LARGEST = 1 << 30  # bytes of one member; the largest picture of the known data sets has a seventh of it
_LONGEST_TARGET = 4096  # bytes of a link's target
_LARGEST_HEADER = 1 << 20  # bytes of a tar's header of names and the like
_BOMB, _RATIO = 64 << 20, 200  # bytes from which content must not be this many times as large as it is compressed
_BLOCK = 512  # bytes, the unit of a tar
PIECE = 1 << 20  # bytes of a file that are in memory at a time when it is copied
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    ValueError,
    MemoryError,
)  # raised by the readers of archives at damaged ones


class Archive(Protocol):
    """Members by name: `sizes` in bytes. They may be read from several threads."""

    sizes: dict[str, int]

    def read(self, name: str) -> bytes:
        """Return the whole content of a member.

        Raises:
            SourceError: the archive is damaged there.
        """

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a member in pieces that are not empty.

        Raises:
            SourceError: the archive is damaged there.
        """

    def close(self) -> None:
        """Close the file."""


def is_archive(name: str) -> bool:
    """Return whether a file's name is that of an archive."""
    return name.lower().endswith(ARCHIVES)


def open_archive(file: Path, scratch: Path) -> Archive:
    """Open an archive and check all its names.

    Args:
        file: a zip, or a tar that may be compressed.
        scratch: folder for the unnamed file into which a compressed tar is unpacked (it can only be read in order).

    Raises:
        SourceError: it cannot be read, is cut short, or tries to lead out of itself.
        OutputError: there is no room in `scratch`.
    """
    try:
        open_regular(file).close()
        return _Zip(file) if zipfile.is_zipfile(file) else _Tar(file, scratch)
    except (SourceError, OutputError):
        raise
    except _DAMAGED as error:
        raise SourceError(
            f"{shown(file)} is not a whole zip or tar archive ({_reason(error)}).", "Download it again."
        ) from error


class _Tar:
    def __init__(self, file: Path, scratch: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._stream = _plain(file, scratch)
        self._offsets: dict[str, int] = {}
        self.sizes: dict[str, int] = {}
        try:
            with tarfile.open(fileobj=_Headers(self._stream, file), mode="r:") as tar:
                while member := tar.next():
                    self._add(member)
                    # A member takes a kilobyte of memory, and what is needed of it is noted.
                    tar.members.clear()  # type: ignore[attr-defined]  # which the stubs do not know
                end = tar.offset
            self._stream.seek(end)
            # A tar ends with blocks of zeros; one that was cut off between two members has none.
            if self._stream.read(_BLOCK) != bytes(_BLOCK):
                raise SourceError(f"{shown(file)} is cut short.", "Download it again.")
        except BaseException:
            self.close()
            raise

    def _add(self, member: tarfile.TarInfo) -> None:
        _require_inside(member.name, self._file)
        if member.issym() or member.islnk():
            folder = posixpath.dirname(member.name) if member.issym() else ""
            _require_inside(posixpath.normpath(posixpath.join(folder, member.linkname)), self._file)
        elif member.isdir():
            pass
        elif member.isreg() and not member.issparse():
            self.sizes[member.name], self._offsets[member.name] = member.size, member.offset_data
        else:
            raise SourceError(f"{shown(self._file)} is refused: {shown(member.name)} is a device, a pipe or the like.")

    def _read_at(self, offset: int, size: int) -> bytes:
        if sys.platform == "win32":
            with self._lock:
                self._stream.seek(offset)
                return self._stream.read(size)
        else:
            return os.pread(self._stream.fileno(), size, offset)

    def read(self, name: str) -> bytes:
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        at, left = self._offsets[name], self.sizes[name]
        _require_small(name, left, self._file)
        while left:
            with _sentence(self._file, name):
                piece = self._read_at(at, min(left, PIECE))
                if not piece:
                    raise EOFError("it is cut short")
            yield piece
            at, left = at + len(piece), left - len(piece)

    def close(self) -> None:
        self._stream.close()


class _Zip:
    def __init__(self, file: Path) -> None:
        self._file, self._zip = file, zipfile.ZipFile(file)
        self.sizes: dict[str, int] = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        try:
            for member in self._zip.infolist():
                self._add(member)
        except BaseException:
            self.close()
            raise

    def _add(self, member: zipfile.ZipInfo) -> None:
        _require_inside(member.orig_filename, self._file)
        if member.flag_bits & 1:
            raise SourceError(f"{shown(self._file)} is encrypted.", "Give it without a password.")
        mode = member.external_attr >> 16
        if stat.S_ISLNK(mode):
            target = self._zip.read(member) if member.file_size <= _LONGEST_TARGET else b"/"
            path = posixpath.join(posixpath.dirname(member.filename), target.decode("utf-8", "replace"))
            _require_inside(posixpath.normpath(path), self._file)
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise SourceError(
                f"{shown(self._file)} is refused: {shown(member.filename)} is a device, a pipe or the like."
            )
        elif not member.is_dir() and not member.filename.endswith("\\"):
            if member.file_size > max(_BOMB, _RATIO * member.compress_size):
                raise SourceError(f"{shown(self._file)} is refused: {shown(member.filename)} is compressed too well.")
            name = member.filename.replace("\\", "/")  # as the format demands, and not all programs on Windows write
            self.sizes[name], self._members[name] = member.file_size, member

    def read(self, name: str) -> bytes:
        _require_small(name, self.sizes[name], self._file)
        with _sentence(self._file, name):
            return self._zip.read(self._members[name])

    def pieces(self, name: str) -> Iterator[bytes]:
        if content := self.read(name):
            yield content

    def close(self) -> None:
        self._zip.close()


class _Headers(io.RawIOBase):
    """A tar's file for reading headers: one that has a header of gigabytes is refused before memory is taken."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream, self._file = stream, file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise SourceError(f"{shown(self._file)} is refused: it has a header of {size / 1e6:.0f} MB.")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _plain(file: Path, scratch: Path) -> IO[bytes]:
    """Open a tar, unpacked into a file without a name if it is compressed."""
    stream: IO[bytes] = io.BufferedReader(open_regular(file))
    start = stream.read(6)
    stream.seek(0)
    if start.startswith(b"\x1f\x8b"):
        unpacker: IO[bytes] = gzip.GzipFile(fileobj=stream)  # type: ignore[assignment]  # its read() is all that is used
    elif start.startswith(b"BZ"):
        unpacker = bz2.BZ2File(stream)
    elif start.startswith(b"\xfd7zXZ"):
        unpacker = lzma.LZMAFile(stream)  # noqa: SIM115  (it is closed below)
    else:
        return stream
    with stream, unpacker as unpacked:
        scratch.mkdir(parents=True, exist_ok=True)
        plain = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115  (it stays open as long as the archive)
        try:
            _copy(unpacked, plain, file)
        except BaseException:
            plain.close()
            raise
    plain.seek(0)
    return plain


def _copy(unpacked: IO[bytes], plain: IO[bytes], file: Path) -> None:
    most, size = max(_BOMB, _RATIO * file.stat().st_size), 0
    while True:
        block = unpacked.read(1 << 20)
        if not block:
            return
        size += len(block)
        if size > most:
            raise SourceError(f"{shown(file)} is refused: it is compressed too well.")
        try:
            plain.write(block)
        except OSError as error:
            raise OutputError(
                f"There is no room to unpack {shown(file)}: {error.strerror or error}.", "Free some space."
            ) from error


def _require_inside(name: str, file: Path) -> None:
    parts = name.replace("\\", "/").split("/") if ".." in name else ()
    drive = name[1:2] == ":" and name[0].isalpha()
    if name.startswith(("/", "\\")) or drive or ".." in parts or "\0" in name:
        raise SourceError(f"{shown(file)} is refused: it holds {shown(name)!r}, which leads out of it.")


def _require_small(name: str, size: int, file: Path) -> None:
    if size > _LARGEST:
        raise SourceError(f"{shown(file)} is refused: {shown(name)} has {size / 1e9:.1f} GB.")


@contextmanager
def _sentence(file: Path, name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise SourceError(
            f"{shown(file)} is damaged at {shown(name)} ({_reason(error)}).", "Download it again."
        ) from error


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
