"""The tags of a TIFF, classic or BigTIFF: read one by one, and never more of them than the picture can need."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from stego_cli.errors import PhotoError

NEW_SUBFILE_TYPE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP, STRIP_COUNTS, PLANAR = 273, 274, 277, 278, 279, 284
IMAGE_DESCRIPTION, PAGE_NAME = 270, 285
PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 317, 322, 323, 324, 325
SUB_IFDS, EXTRA_SAMPLES, SAMPLE_FORMAT, GDAL_NODATA, DNG_VERSION = 330, 338, 339, 42113, 50706

_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}  # whole numbers
_MOST_TAGS = 4096
_MOST_PAGES, _MOST_IN_ALL = 10_000, 200_000  # tags in all pages: directories may overlap


@dataclass(frozen=True)
class Tag:
    """A tag as the directory has it: its type, the number of its values, and those, or where they are."""

    kind: int
    count: int
    field: bytes


@dataclass(frozen=True)
class Directory:
    """One page's tags.

    Attributes:
        order: "<" or ">", of every number in the file.
        big: a BigTIFF, whose offsets have 8 bytes.
        tags: each tag's entry.
        entries: how many there are, repeated ones included.
        next: where the next page's directory is; 0 for none.
    """

    order: str
    big: bool
    tags: dict[int, Tag]
    entries: int
    next: int

    def numbers(self, stream: BinaryIO, tag: int, most: int) -> list[int]:
        """Return the whole numbers of a tag; none where it is missing.

        Raises:
            PhotoError: they are no whole numbers, more than `most`, or beyond the file's end.
        """
        entry = self.tags.get(tag)
        if entry is None:
            return []
        letter = _TYPES.get(entry.kind)
        if letter is None or entry.count > most:
            raise PhotoError(f"broken TIFF: tag {tag} has {entry.count} values of type {entry.kind}")
        return list(struct.unpack(f"{self.order}{entry.count}{letter}", self._bytes(stream, entry, letter)))

    def number(self, stream: BinaryIO, tag: int, default: int) -> int:
        """Return the first number of a tag.

        Raises:
            PhotoError: it is no whole number, or beyond the file's end.
        """
        values = self.numbers(stream, tag, 65_536)
        return values[0] if values else default

    def text(self, stream: BinaryIO, tag: int, most: int = 256) -> str:
        """Return a text of at most so many bytes, a character for each; "" where it is missing, longer or not one."""
        entry = self.tags.get(tag)
        if entry is None or entry.kind != 2 or entry.count > most:
            return ""
        return self._bytes(stream, entry, "s").split(b"\0")[0].decode("latin-1").strip()

    def _bytes(self, stream: BinaryIO, entry: Tag, letter: str) -> bytes:
        size = entry.count * struct.calcsize(f"{self.order}{letter}")
        if size <= len(entry.field):
            return entry.field[:size]
        stream.seek(struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", entry.field)[0])
        content = stream.read(size)
        if len(content) < size:
            raise PhotoError("broken TIFF: a tag lies beyond the end of the file")
        return content


def pages(stream: BinaryIO) -> Iterator[Directory]:
    """Yield the directory of each page, in order; a chain that leads back into itself ends there.

    Raises:
        PhotoError: the first one is broken. Broken ones after it end the chain.
    """
    order, big, at = _header(stream)
    seen: set[int] = set()
    count = 0
    while at and at not in seen and len(seen) < _MOST_PAGES and count < _MOST_IN_ALL:
        try:
            directory = _directory(stream, at, order, big)
        except (struct.error, OSError, ValueError, OverflowError) as error:
            if seen:
                return
            raise PhotoError("broken TIFF: its first directory cannot be read") from error
        seen.add(at)
        count += directory.entries
        at = directory.next
        yield directory


def _header(stream: BinaryIO) -> tuple[str, bool, int]:
    stream.seek(0)
    head = stream.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    try:
        if order is None:
            raise ValueError("neither byte order")
        (version,) = struct.unpack(f"{order}H", head[2:4])
        if version == 43:
            return order, True, int(struct.unpack(f"{order}HHQ", head[4:16])[2])
        return order, False, int(struct.unpack(f"{order}I", head[4:8])[0])
    except (struct.error, ValueError) as error:
        raise PhotoError("broken TIFF: its header is cut short") from error


def _directory(stream: BinaryIO, at: int, order: str, big: bool) -> Directory:
    stream.seek(at)
    (count,) = struct.unpack(f"{order}Q" if big else f"{order}H", stream.read(8 if big else 2))
    if not 0 < count <= _MOST_TAGS:
        raise ValueError(f"{count} tags")
    entry, size = (f"{order}HHQ8s", 20) if big else (f"{order}HHI4s", 12)
    content = stream.read(count * size)
    tags = {tag: Tag(kind, number, field) for tag, kind, number, field in struct.iter_unpack(entry, content)}
    following = stream.read(8 if big else 4)  # some writers leave it out behind the last page
    try:
        (after,) = struct.unpack(f"{order}Q" if big else f"{order}I", following)
    except struct.error:
        after = 0
    return Directory(order, big, tags, count, after)
