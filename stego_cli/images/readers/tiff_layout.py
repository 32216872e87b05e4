"""Where a TIFF's numbers are and how they are stored: what its tags say, checked before memory is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from stego_cli.errors import PhotoError
from stego_cli.images.readers import tiff_tags as tags
from stego_cli.images.readers.bands import RGB_NAMES, BandsInfo, kind_of
from stego_cli.images.readers.picture_file import require_size
from stego_cli.images.readers.tiff_tags import Directory

STORED, DEFLATE, PACKBITS = 1, (8, 32946), 32773
BY_LIBTIFF = (5, PACKBITS, 34925, 50000)  # beside it LZW, LZMA and Zstandard
_COMPRESSIONS = {
    2: "CCITT",
    3: "CCITT",
    4: "CCITT",
    6: "JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
}
_TYPES = {1: "u", 2: "i", 3: "f", 4: "u"}  # of SampleFormat
_MOST_BYTES = 1 << 32  # of the whole picture, all bands
_ASSOCIATED, _UNASSOCIATED = 1, 2  # extra bands that are alpha channels


@dataclass(frozen=True)
class Layout:
    """Where a page's numbers are, and how they are stored.

    Attributes:
        info: what becomes of them.
        dtype: of a number, in the file's byte order.
        compression, predictor: as the tags have them.
        across, down: number of blocks in a row and in a column.
        block: width and height of a tile, or of a strip.
        tiled: blocks at the right and lower border are stored whole.
        planes: 1 where a pixel's bands lie together, else the number of bands.
        offsets, counts: of each block in the file, in bytes.
    """

    info: BandsInfo
    dtype: np.dtype[np.generic]
    compression: int
    predictor: int
    across: int
    down: int
    block: tuple[int, int]
    tiled: bool
    planes: int
    offsets: list[int]
    counts: list[int]


def layout_of(stream: BinaryIO, page: Directory) -> Layout:
    """Return the layout of a page.

    Raises:
        PhotoError: it is broken, too large, or of a kind that is not read, which the message names.
    """

    def number(tag: int, default: int) -> int:
        return page.number(stream, tag, default)

    width, height = number(tags.WIDTH, 0), number(tags.HEIGHT, 0)
    require_size(width, height)
    samples, planar = number(tags.SAMPLES, 1), number(tags.PLANAR, 1)
    dtype = _dtype(stream, page, samples)
    if width * height * samples * dtype.itemsize > _MOST_BYTES:
        raise PhotoError(f"more than {_MOST_BYTES >> 30} GB of numbers ({width} x {height}, {samples} bands)")
    compression, photometric = number(tags.COMPRESSION, 1), number(tags.PHOTOMETRIC, 1)
    if photometric not in (0, 1, 2) or number(tags.FILL_ORDER, 1) != 1:
        raise PhotoError(f"a TIFF of {described(samples, dtype)} in a colour space or order that is not read")
    if compression not in (STORED, *DEFLATE, *BY_LIBTIFF):
        name = _COMPRESSIONS.get(compression, f"method {compression}")
        raise PhotoError(f"a TIFF of {described(samples, dtype)} compressed with {name}, which is not read")
    tiled = tags.TILE_OFFSETS in page.tags
    if tiled:
        block = number(tags.TILE_WIDTH, 0), number(tags.TILE_HEIGHT, 0)
    else:
        block = width, min(height, number(tags.ROWS_PER_STRIP, height) or height)
    if min(block) < 1:
        raise PhotoError("broken TIFF: its tiles have no size")
    across, down = -(-width // block[0]), -(-height // block[1])
    planes = samples if planar == 2 else 1
    blocks = across * down * planes
    offsets = page.numbers(stream, tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS, blocks)
    counts = page.numbers(stream, tags.TILE_COUNTS if tiled else tags.STRIP_COUNTS, blocks)
    if len(offsets) < blocks:
        raise PhotoError(f"broken TIFF: {len(offsets)} of {blocks} strips or tiles")
    if len(counts) < blocks:
        counts = [1 << 62] * blocks  # up to the file's end
    alpha, premultiplied = _alpha(stream, page, samples)
    info = BandsInfo(
        width=width,
        height=height,
        kind=kind_of(dtype),
        count=samples,
        alpha=alpha,
        premultiplied=premultiplied,
        inverted=photometric == 0,
        nodata=nodata_of(stream, page),
        names=RGB_NAMES if photometric == 2 else (),
    )
    predictor = number(tags.PREDICTOR, 1)
    return Layout(info, dtype, compression, predictor, across, down, block, tiled, planes, offsets, counts)


def described(samples: int, dtype: np.dtype[np.generic]) -> str:
    """Return in words what the bands are."""
    kind = {"u": "unsigned", "i": "signed", "f": "floating-point"}[dtype.kind]
    return f"{samples} band{'s' * (samples > 1)} of {dtype.itemsize * 8} bits ({kind})"


def nodata_of(stream: BinaryIO, page: Directory) -> float | None:
    """Return the number that GDAL marks empty pixels with; None where the file names none."""
    try:
        return float(page.text(stream, tags.GDAL_NODATA))
    except ValueError:
        return None


def _dtype(stream: BinaryIO, page: Directory, samples: int) -> np.dtype[np.generic]:
    if not 1 <= samples <= 65_535:
        raise PhotoError(f"broken TIFF: {samples} bands")
    bits = set(page.numbers(stream, tags.BITS, samples) or [1])
    formats = set(page.numbers(stream, tags.SAMPLE_FORMAT, samples) or [1])
    size, letter = bits.pop(), _TYPES.get(formats.pop(), "")
    known = size in (8, 16, 32, 64) and not (letter == "f" and size == 8)
    if bits or formats or not letter or not known:
        raise PhotoError(f"a TIFF of {samples} bands of numbers that are not read (of {size} bits, or of mixed types)")
    return np.dtype(f"{page.order}{letter}{size // 8}")


def _alpha(stream: BinaryIO, page: Directory, samples: int) -> tuple[int | None, bool]:
    extra = page.numbers(stream, tags.EXTRA_SAMPLES, samples)
    for index, kind in enumerate(extra, samples - len(extra)):
        if kind in (_ASSOCIATED, _UNASSOCIATED) and index > 0:
            return index, kind == _ASSOCIATED
    return None, False
