"""What a run has done: one JSON line a photograph in MASKS/.stego/journal.jsonl, later lines winning.

A photograph is done when its last line says so AND it is unchanged AND its mask has the hash that was written. That a
mask file exists proves nothing. A photograph is unchanged if it still has the size and time it had, or, where the time
alone is another, the content: copying a tree or checking it out gives every file a new time.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from stego_cli.checked_json import parse_lines
from stego_cli.errors import OutputError
from stego_cli.images.atomic import digest, open_own, sha256
from stego_cli.images.discover import Photo
from stego_cli.regular_file import open_regular
from stego_cli.text import shown


@dataclass(frozen=True)
class Entry:
    """One photograph's outcome: `status` is "done" or "failed"; paths are relative to input and output folder."""

    path: str
    status: str
    size: int = -1  # bytes
    mtime: int = -1  # nanoseconds
    mask: str | None = None
    sha256: str | None = None
    error: str | None = None
    pixels: dict[int, int] | None = None  # class to number of pixels
    content: str | None = None  # sha256 of the photograph; older journals do not have it
    mask_size: int = -1  # bytes of the mask, and its MD5, where masks are at an address: what a store tells of it
    mask_md5: str | None = None

    def line(self) -> str:
        """Return the entry as a line of a journal, without its end."""
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, -1)})


class Journal:
    """An append-only journal, opened for one run; a context manager.

    Attributes:
        entries: the last entry of every path, of earlier runs. This run's are not kept in memory.
    """

    def __init__(self, file: Path, others: Sequence[Path] = ()) -> None:
        """Open `file` for writing; entries are read from it and, before it, from `others`, which are not changed."""
        self._file = file
        try:
            with os.fdopen(open_own(file, os.O_RDWR), "rb+") as stream:
                _cut_torn_line(stream)
            self.entries = read_entries([*others, file])
            self._stream = os.fdopen(open_own(file, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{shown(file)} cannot be written: {error.strerror or error}.") from error

    def append(self, entry: Entry) -> None:
        """Add one entry; from then on it is kept even if the run is killed.

        Raises:
            OutputError: the disk is full.
        """
        try:
            self._stream.write(entry.line() + "\n")
            self._stream.flush()
        except OSError as error:
            raise OutputError(f"{shown(self._file)} cannot be written: {error.strerror or error}.") from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        # Every entry was flushed when it was added; closing can only fail at what `append` has already reported.
        with contextlib.suppress(OSError):
            self._stream.close()


def read_entries(files: Sequence[Path], size: int | None = None) -> dict[str, Entry]:
    """Return the last entry of every path in journals, of which later ones win; those that do not exist hold none.

    With `size`, only lines that begin within the first `size` bytes of each count.
    """
    return {path: entry for file in files if file.exists() for path, entry in _read(file, size)}


def is_done(entry: Entry | None, photo: Photo, root: Path, masks: Path) -> bool:
    """Return whether the photograph is unchanged since that entry and its mask is the one that was written."""
    if entry is None or entry.status != "done" or entry.mask != photo.mask:
        return False
    try:
        return _is_unchanged(entry, root / photo.file) and digest(masks / photo.mask) == entry.sha256
    except OSError:
        return False


def _is_unchanged(entry: Entry, path: Path) -> bool:
    now = path.stat()
    if now.st_size != entry.size:
        return False
    return now.st_mtime_ns == entry.mtime or (entry.content is not None and sha256(path) == entry.content)


def open_state(file: Path) -> BinaryIO:
    """Open a file of a run's state for reading.

    Raises:
        OutputError: it cannot be read, or is not a regular file.
    """
    try:
        return io.BufferedReader(open_regular(file))
    except OSError as error:
        raise OutputError(f"{shown(file)} cannot be read: {error.strerror or error}.", "Remove it.") from error


def _read(file: Path, size: int | None) -> Iterator[tuple[str, Entry]]:
    with open_state(file) as stream:
        for entry in parse_lines(stream, Entry, size):
            yield entry.path, entry


def _cut_torn_line(stream: BinaryIO) -> None:
    """Drop a last line that a killed run left without its end."""
    end = stream.seek(0, os.SEEK_END)
    while end > 0:
        step = min(end, 4096)
        stream.seek(end - step)
        newline = stream.read(step).rfind(b"\n")
        if newline >= 0:
            stream.truncate(end - step + newline + 1)
            return
        end -= step
    stream.truncate(0)
