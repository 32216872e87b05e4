"""The numbers of a TIFF, strip by strip or tile by tile.

Compressed blocks are decoded by zlib or, each as a TIFF of one strip of bytes, by Pillow's libtiff. Memory stays at one
block, or at a part of it where it is stored plainly or deflated.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.readers import tiff_tags as tags
from stego_cli.images.readers.bands import Block, Numbers, row_blocks
from stego_cli.images.readers.picture_file import quiet
from stego_cli.images.readers.tiff_layout import DEFLATE, PACKBITS, STORED, Layout

_BLOCK = 1 << 22  # bytes that a long strip is read by, where it can be read by parts
_MOST_BLOCK = 1 << 27  # bytes of a block that has to be decoded at once, for which twice as many are taken


class TiffBands:
    """The numbers of one page, in an open file."""

    def __init__(self, stream: BinaryIO, layout: Layout) -> None:
        self.info = layout.info
        self._stream, self._layout = stream, layout

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        count = self._layout.across * self._layout.down
        step = max(1, count // some) if some else 1
        for index in range(step // 2, count, step):
            top, left, width, height = self._place(index)
            at = top
            try:
                for numbers in self._together(index, bands) if self._layout.planes == 1 else self._apart(index, bands):
                    part = numbers[: top + height - at, :width]
                    yield Block(at, left, part)
                    at += len(part)
            except _Short as error:
                if not truncated:
                    raise PhotoError(str(error)) from error
                yield Block(at, left, np.zeros((top + height - at, width, len(bands)), np.uint8), missing=True)

    def _together(self, index: int, bands: Sequence[int]) -> Iterator[Numbers]:
        for part in self._parts(index, self.info.count):
            yield part[..., list(bands)]

    def _apart(self, index: int, bands: Sequence[int]) -> Iterator[Numbers]:
        """Yield a block of bands that are stored apart; as many rows as all of them have."""
        count = self._layout.across * self._layout.down
        ways = [self._parts(band * count + index, 1) for band in bands]
        for parts in zip(*ways, strict=True):
            rows = min(map(len, parts))
            yield np.concatenate([part[:rows] for part in parts], 2)
            if rows < max(map(len, parts)):
                raise _Short("the file is cut short")

    def _place(self, index: int) -> tuple[int, int, int, int]:
        """Return a block's first row and column, and the width and height of what lies inside the picture."""
        wide, high = self._layout.block
        row, column = divmod(index, self._layout.across)
        top, left = row * high, column * wide
        return top, left, min(wide, self.info.width - left), min(high, self.info.height - top)

    def _parts(self, index: int, samples: int) -> Iterator[Numbers]:
        """Yield a stored block, (rows, width, samples) at a time.

        Raises:
            _Short: the file ends before it.
        """
        layout = self._layout
        width, height = layout.block
        if not layout.tiled:
            height = self._place(index % (layout.across * layout.down))[3]
        row = width * samples * layout.dtype.itemsize
        offset, size = layout.offsets[index], layout.counts[index]
        if not offset or not size:  # a raster's empty block, which is not stored
            yield from self._empty(height, width, samples)
            return
        if layout.compression == STORED:
            contents = _stored(self._stream, offset, row, height)
        else:
            self._stream.seek(offset)
            content = self._stream.read(min(size, _MOST_BLOCK))
            if layout.compression in DEFLATE:
                contents = _inflated(content, row, height)
            else:
                contents = _by_libtiff(content, layout.compression, row, height)
        for content in contents:
            yield _numbers(content, width, samples, layout)

    def _empty(self, height: int, width: int, samples: int) -> Iterator[Numbers]:
        dtype = self._layout.dtype.newbyteorder("=")
        value = self.info.nodata or 0.0
        if dtype.kind != "f":
            limits = np.iinfo(dtype.name)
            value = int(value) if np.isfinite(value) and limits.min <= value <= limits.max else 0
        rows = max(1, _BLOCK // (width * samples * dtype.itemsize))
        for top in range(0, height, rows):
            yield np.full((min(rows, height - top), width, samples), value, dtype)


class _Short(Exception):  # noqa: N818  (never leaves this module)
    """The file ends before a block does."""


def _steps(row: int, height: int) -> Iterator[int]:
    """Yield the numbers of rows in which a block of `height` rows of `row` bytes is read."""
    if row > _MOST_BLOCK:
        raise PhotoError(f"a TIFF whose rows have {row >> 20} MB")
    step = max(1, _BLOCK // row)
    for top in range(0, height, step):
        yield min(step, height - top)


def _stored(stream: BinaryIO, offset: int, row: int, height: int) -> Iterator[bytes]:
    for rows in _steps(row, height):
        stream.seek(offset)
        content = stream.read(rows * row)
        offset += len(content)
        yield from _whole_rows(content, row, rows)


def _inflated(content: bytes, row: int, height: int) -> Iterator[bytes]:
    decoder = zlib.decompressobj()
    for rows in _steps(row, height):
        wanted, got = rows * row, b""
        while len(got) < wanted:
            try:
                more = decoder.decompress(content, wanted - len(got))
            except zlib.error as error:
                raise PhotoError(f"broken TIFF: {error}") from error
            content = decoder.unconsumed_tail
            if not more:
                break
            got += more
        yield from _whole_rows(got, row, rows)


def _whole_rows(content: bytes, row: int, rows: int) -> Iterator[bytes]:
    """Yield the rows that are there.

    Raises:
        _Short: they are fewer than `rows`.
    """
    whole = len(content) // row
    if whole:
        yield content[: whole * row]
    if whole < rows:
        raise _Short("the file is cut short")


def _by_libtiff(content: bytes, compression: int, row: int, height: int) -> Iterator[bytes]:
    """Decode a block as a grey picture of bytes: the codecs are libtiff's, and what the bytes mean is decided here."""
    if row * height > _MOST_BLOCK:
        raise PhotoError(f"a TIFF with a compressed block of {row * height >> 20} MB")
    entries = [
        (tags.WIDTH, row),
        (tags.HEIGHT, height),
        (tags.BITS, 8),
        (tags.COMPRESSION, compression),
        (tags.PHOTOMETRIC, 1),
        (tags.STRIP_OFFSETS, 8 + 2 + 9 * 12 + 4),
        (tags.SAMPLES, 1),
        (tags.ROWS_PER_STRIP, height),
        (tags.STRIP_COUNTS, len(content)),
    ]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    picture = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4) + content
    try:
        with quiet(), Image.open(io.BytesIO(picture), formats=("TIFF",)) as image:
            for _, rows in row_blocks(image):
                yield rows.tobytes()
    except MemoryError:
        raise
    except Exception as error:  # as raised by Pillow, of whatever kind
        raise _Short("the file is cut short, or broken") from error


def _numbers(content: bytes, width: int, samples: int, layout: Layout) -> Numbers:
    """Return the numbers of rows, (rows, width, samples) in the machine's byte order, with the predictor undone."""
    native = layout.dtype.newbyteorder("=")
    predictor = 1 if layout.compression in (STORED, PACKBITS) else layout.predictor  # as libtiff has it
    if predictor == 3 and native.kind == "f":
        return _float_differences_undone(np.frombuffer(content, np.uint8), width, samples, native)
    numbers = np.frombuffer(content, layout.dtype).reshape(-1, width, samples).astype(native, copy=False)
    if predictor == 1:
        return numbers
    if predictor != 2:
        raise PhotoError(f"a TIFF with predictor {layout.predictor}, which is not read")
    whole = numbers.view(f"u{native.itemsize}")  # differences of the bits, modulo their number
    return np.cumsum(whole, axis=1, dtype=whole.dtype).view(native)


def _float_differences_undone(
    content: NDArray[np.uint8], width: int, samples: int, native: np.dtype[np.generic]
) -> Numbers:
    """Undo predictor 3: each row's bytes are sorted by significance, the highest first, and hold differences."""
    size = native.itemsize
    summed = np.cumsum(content.reshape(-1, width * size, samples), axis=1, dtype=np.uint8)
    planes = summed.reshape(-1, size, width * samples).swapaxes(1, 2)
    big = np.ascontiguousarray(planes).view(native.newbyteorder(">"))
    return big.reshape(-1, width, samples).astype(native)
