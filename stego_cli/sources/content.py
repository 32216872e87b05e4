"""Which kind of file something is that is segmented in parts, by its content alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from stego_cli.images.readers import tiff_tags as tags
from stego_cli.images.readers.picture_file import MAX_PIXELS, head_of, open_source
from stego_cli.images.readers.table import matches_a_photograph
from stego_cli.images.readers.tiff_tags import Directory, pages

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_2000 = b"\0\0\0\x0cjP  \r\n\x87\n"
_EBML, _MPEG = b"\x1a\x45\xdf\xa3", b"\0\0\1\xba"  # Matroska and WebM; MPEG's program stream
_PLACED = frozenset({33550, 34264, 34735})  # tags of GeoTIFF: size of a pixel, transformation, coordinate system
_GEO_JP2 = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")  # the identity of the box that holds coordinates
_SHAPE = (tags.WIDTH, tags.HEIGHT, tags.BITS, tags.SAMPLES, tags.SAMPLE_FORMAT)  # what slices have in common
_BELONGING = 1 | 4  # bits of NewSubfileType: an overview or a mask of another page
_HEADER = 1 << 16  # bytes in which a JPEG 2000 has it


def is_raster(file: Path) -> bool:
    """Return whether a file is a raster: with coordinates, or with more pixels than a photograph may have.

    Raises:
        PhotoError: it cannot be read.
    """
    head = head_of(file)
    if head.startswith(_TIFF):
        with open_source(file) as stream:
            page = next(pages(stream), None)
            if page is None:
                return False
            width, height = page.number(stream, tags.WIDTH, 0), page.number(stream, tags.HEIGHT, 0)
        return bool(_PLACED & set(page.tags)) or width * height > MAX_PIXELS
    if head.startswith(_JPEG_2000):
        with open_source(file) as stream:
            start = stream.read(_HEADER)
        size = re.search(rb"ihdr(.{4})(.{4})", start, re.DOTALL)
        pixels = int.from_bytes(size[1], "big") * int.from_bytes(size[2], "big") if size else 0
        return _GEO_JP2 in start or pixels > MAX_PIXELS
    return re.match(rb"\s*<VRTDataset\b", head) is not None


def is_stack(file: Path) -> bool:
    """Return whether a file is a TIFF of several pages of one size and kind, and no raster.

    Raises:
        PhotoError: it cannot be read.
    """
    if not head_of(file).startswith(_TIFF):
        return False
    with open_source(file) as stream:
        found = [directory for _, directory in stack_pages(stream)]
        kinds = {tuple(page.number(stream, tag, 1) for tag in _SHAPE) for page in found}
    return len(found) > 1 and len(kinds) == 1 and not _PLACED & set(found[0].tags)


def stack_pages(stream: BinaryIO) -> list[tuple[int, Directory]]:
    """Return the pages of a TIFF that are pictures of their own, each with its number among all pages.

    Raises:
        PhotoError: it cannot be read.
    """
    return [
        (number, page)
        for number, page in enumerate(pages(stream))
        if not page.number(stream, tags.NEW_SUBFILE_TYPE, 0) & _BELONGING
    ]


def is_video(file: Path) -> bool:
    """Return whether a file is a video.

    Raises:
        PhotoError: it cannot be read.
    """
    head = head_of(file)
    if head[4:8] == b"ftyp":
        return not matches_a_photograph(head)
    return head.startswith((_EBML, _MPEG)) or head[:4] + head[8:12] == b"RIFFAVI " or head[4:8] in (b"moov", b"mdat")
