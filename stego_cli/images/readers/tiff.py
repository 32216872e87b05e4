"""TIFFs: the usual ones by Pillow, and block by block those that rasters, cameras and microscopes write."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.readers import tiff_tags as tags
from stego_cli.images.readers.bands import Bands, ImageBands
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import FileOrBytes, open_source, require_size
from stego_cli.images.readers.pillow import open_image
from stego_cli.images.readers.tiff_blocks import TiffBands
from stego_cli.images.readers.tiff_layout import layout_of, nodata_of
from stego_cli.images.readers.tiff_tags import Directory, pages

_RAW_PHOTOMETRICS = frozenset({32803, 34892})  # a sensor's mosaic, and linear raw
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType: a page that belongs to another
_MOST_IN_TILE = 1 << 26  # pixels, 8192 x 8192: libtiff takes the memory of a whole tile
_UNCONFIGURED = frozenset({50001})  # WebP: compressions that Pillow knows, and its build of libtiff does not
_DEEP_KINDS = {"I": "int32", "F": "float"}  # of Pillow's modes; beside those that begin with "I;16"


def read(source: FileOrBytes, bare: bool) -> OpenPicture:
    """Open a TIFF's first page.

    Raises:
        PhotoError: it is broken, too large, a camera's raw file, or of bands that are not read.
    """
    stream = open_source(source)
    try:
        chain = pages(stream)
        page = next(chain, None)
        if page is None:
            raise PhotoError("a TIFF without a picture")
        _refuse_raw(stream, page)
        size = page.number(stream, tags.WIDTH, 0), page.number(stream, tags.HEIGHT, 0)
        require_size(*size)
        tile = page.number(stream, tags.TILE_WIDTH, 0), page.number(stream, tags.TILE_HEIGHT, 0)
        if tile[0] * tile[1] > _MOST_IN_TILE:
            raise PhotoError(f"a TIFF of tiles of {tile[0]} x {tile[1]} pixels")
        orientation = page.number(stream, tags.ORIENTATION, 1)
        frames = 1 + sum(not other.number(stream, tags.NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK) for other in chain)
        image, bands = _ways(source, stream, page, bare)
    except BaseException:
        stream.close()
        raise
    return OpenPicture(size, orientation if 1 <= orientation <= 8 else 1, frames, image, bands, stream)


def _refuse_raw(stream: BinaryIO, page: Directory) -> None:
    """Refuse a camera's raw file: its first page is a small preview, or numbers that are no picture yet."""
    preview = page.number(stream, tags.NEW_SUBFILE_TYPE, 0) & _REDUCED and tags.SUB_IFDS in page.tags
    if preview or tags.DNG_VERSION in page.tags or page.number(stream, tags.PHOTOMETRIC, 1) in _RAW_PHOTOMETRICS:
        raise PhotoError("a camera's raw file, which is not read; convert it to JPEG, PNG or TIFF")


def _ways(
    source: FileOrBytes, stream: BinaryIO, page: Directory, bare: bool
) -> tuple[Image.Image | None, Bands | None]:
    """Return Pillow's way to the pixels and the one by bands, or one of them.

    Raises:
        PhotoError: there is none.
    """
    image = None
    if not bare and page.number(stream, tags.COMPRESSION, 1) not in _UNCONFIGURED:
        with contextlib.suppress(PhotoError):  # the reason is found below
            image = open_image(source, "TIFF")
    if image is not None and nodata_of(stream, page) is None and _has_8_bits(stream, page):
        return image, None
    try:
        return image, TiffBands(stream, layout_of(stream, page))
    except PhotoError:
        if image is None:
            raise
        if image.mode.startswith("I;16") or image.mode in _DEEP_KINDS:
            return image, ImageBands(image, _DEEP_KINDS.get(image.mode, "uint16"))
        return image, None


def _has_8_bits(stream: BinaryIO, page: Directory) -> bool:
    samples = page.number(stream, tags.SAMPLES, 1)
    bits = page.numbers(stream, tags.BITS, max(samples, 1)) or [1]
    formats = page.numbers(stream, tags.SAMPLE_FORMAT, max(samples, 1)) or [1]
    return max(bits) <= 8 and set(formats) <= {1, 4}
