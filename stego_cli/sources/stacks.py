"""TIFFs of several pages of one size, such as the slices, channels and times of a microscope, page by page.

Every page is a slice, in the file's order. An OME-TIFF says which channel, depth and time each one is; its slices have
that in their identity. The mask is a TIFF of as many pages, and a page's name in it is the identity of its slice.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from stego_cli.classes import VOID
from stego_cli.errors import OutputError, PhotoError, UsageError, setting
from stego_cli.images.decode import Decoded, to_rgb, work_size
from stego_cli.images.masks import mask_image
from stego_cli.images.passes import counts
from stego_cli.images.readers import tiff_tags as tags
from stego_cli.images.readers.bands import Bands, Block
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import open_source, quiet, reason_of
from stego_cli.images.readers.pillow import open_image
from stego_cli.images.readers.tiff_blocks import TiffBands
from stego_cli.images.readers.tiff_layout import layout_of
from stego_cli.images.readers.tiff_tags import Directory
from stego_cli.images.stretch import NoData, range_for, to_8_bits
from stego_cli.sources.content import stack_pages
from stego_cli.sources.ome import Planes, planes_of
from stego_cli.sources.source import Asked, ReadPart, Target
from stego_cli.text import shown

_SAMPLED = 16  # slices that a stretch is decided on


@dataclass(frozen=True)
class _Page:
    """A slice: its number among all pages of the file, and its tags."""

    number: int
    tags: Directory


class StackSource:
    """See `source.Source`.

    Raises (when it is made):
        PhotoError: the file cannot be read.
        UsageError: there is no such colour map.
    """

    unit = "slices"
    troubles: Sequence[str] = ()

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._colours = _colour_map(asked.parts.colour_map) if asked.parts.colour_map else None
        pages, planes = _pages(asked.file), _planes(asked.file)
        self._pages = {_key(index, page, planes): page for index, page in enumerate(pages)}
        said = f": {planes.said}" if planes is not None and planes.said else ""
        self.notes = [f"{asked.name}: a stack of {len(self._pages)} slices{said}."]

    def keys(self) -> Sequence[str]:
        """See `Source`."""
        return list(self._pages)

    def begin(self, keys: Iterable[str]) -> Iterator[str]:
        """See `Source`."""
        yield from keys

    def decode(self, key: str) -> Decoded:
        """See `Source`."""
        image, nodata = self._rgb(key)
        work = work_size(*image.size, self._asked.res, self._asked.patch)
        return Decoded(np.asarray(image.resize(work, Image.Resampling.BILINEAR)), image.size, nodata)

    def _rgb(self, key: str) -> tuple[Image.Image, NoData | None]:
        page, reading = self._pages[key], self._asked.reading
        try:
            with open_source(self._asked.file) as stream, quiet():
                try:
                    bands: Bands | None = TiffBands(stream, layout_of(stream, page.tags))
                except PhotoError:
                    bands = None  # a kind that Pillow reads, such as JPEG
                if bands is not None:
                    image, nodata = to_8_bits(bands, reading, range_for(bands, reading))
                    grey = bands.info.count == 1 or len(reading.bands) == 1
                else:
                    with open_image(self._asked.file, "TIFF") as opened:
                        opened.seek(page.number)
                        image, nodata, grey = to_rgb(opened), None, opened.mode in ("L", "I;16", "I", "F")
        except PhotoError:
            raise
        except Exception as error:  # as many kinds as there are decoders
            raise PhotoError(reason_of(error)) from error
        if grey and self._colours is not None:
            image = Image.fromarray(self._colours[np.asarray(image)[..., 0]])
        return image, nodata

    def samples(self, count: int) -> Iterator[Image.Image]:
        """See `Source`."""
        keys = list(self._pages)
        for key in keys[:: max(1, len(keys) // count)]:
            try:
                yield self._rgb(key)[0]
            except PhotoError:
                continue

    def assemble(self, read: ReadPart, target: Target) -> Counter[int]:
        """See `Source`."""
        found, temporary = np.zeros(VOID + 1, np.int64), target.scratch / f".stego-{uuid.uuid4().hex[:16]}.tmp"
        try:
            target.mask.parent.mkdir(parents=True, exist_ok=True)
            with TiffImagePlugin.AppendingTiffWriter(str(temporary), new=True) as writer:
                for key, page in self._pages.items():
                    part = read(key)
                    labels = np.full(self._size(page), VOID, np.uint8) if part is None else part.labels
                    found += counts(labels)
                    about = {tags.PAGE_NAME: key}
                    mask_image(labels, target.colours).save(
                        writer, format="TIFF", compression="tiff_adobe_deflate", tiffinfo=about
                    )
                    writer.newFrame()
            temporary.replace(target.mask)
        except OSError as error:
            raise OutputError(
                f"{shown(target.mask)} cannot be written: {error.strerror or error}.",
                f"Free some space or choose another {setting('out')}.",
            ) from error
        finally:
            temporary.unlink(missing_ok=True)
        return Counter({int(value): int(found[value]) for value in found.nonzero()[0]})

    def _size(self, page: _Page) -> tuple[int, int]:
        with open_source(self._asked.file) as stream:
            info = layout_of(stream, page.tags).info
        return info.height, info.width

    def __enter__(self) -> StackSource:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def sampled(file: Path) -> OpenPicture:
    """Open a stack for a look at its numbers.

    Raises:
        PhotoError: it cannot be opened, or has 8 bits.
    """
    found = _pages(file)
    stream = open_source(file)
    try:
        some = [page.tags for page in found[:: max(1, len(found) // _SAMPLED)]]
        bands = _StackBands(stream, some)
        return OpenPicture((bands.info.width, bands.info.height), 1, bands=bands, stream=stream)
    except BaseException:
        stream.close()
        raise


class _StackBands:
    """The numbers of some slices, one after the other."""

    def __init__(self, stream: BinaryIO, pages: list[Directory]) -> None:
        self._slices = [TiffBands(stream, layout_of(stream, page)) for page in pages]
        self.info = self._slices[0].info

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        for one in self._slices:
            yield from one.blocks(bands, max(1, some // len(self._slices)) if some else 0, truncated)


def _pages(file: Path) -> list[_Page]:
    with open_source(file) as stream:
        return [_Page(number, tags) for number, tags in stack_pages(stream)]


def _planes(file: Path) -> Planes | None:
    with open_source(file) as stream:
        first = next(tags.pages(stream), None)
        return None if first is None else planes_of(file, stream, first)


def _key(index: int, page: _Page, planes: Planes | None) -> str:
    """Return the identity of a slice, such as "slice=7" or "slice=7,C=1,Z=3"."""
    place = () if planes is None else planes.places.get(page.number, ())
    return ",".join([f"slice={index}", *(f"{axis}={number}" for axis, number in place)])


def _colour_map(name: str) -> NDArray[np.uint8]:
    """Return the colours of a colour map of matplotlib, uint8 (256, 3).

    Raises:
        UsageError: there is none of that name.
    """
    from matplotlib import colormaps

    if name not in colormaps:
        raise UsageError(f"must be a colour map of matplotlib, such as viridis, got {name!r}", field="colour_map")
    colours: NDArray[np.uint8] = colormaps[name](np.arange(256), bytes=True)[:, :3]
    return np.ascontiguousarray(colours)
