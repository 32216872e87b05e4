"""Pictures of more than 8 bits, or of other bands than grey and RGB: their numbers, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.reading import BandChoice
from stego_cli.text import shown

Numbers = NDArray[Any]
RGB_NAMES = (("red",), ("green",), ("blue",))

_BLOCK = 1 << 22  # bytes of a block, about


@dataclass(frozen=True)
class BandsInfo:
    """A picture's bands, as its header describes them.

    Attributes:
        width: in pixels, as stored; `height`: likewise.
        kind: of the numbers: "uint8" (never stretched), another integer type of numpy, or "float" for any of those.
        count: of the bands, an alpha channel included.
        alpha: index of the alpha channel; None without one.
        premultiplied: the colours have been multiplied by it already.
        inverted: the lowest number is white.
        nodata: the value that marks empty pixels; None if the header has none.
        names: of each band, what it is called: any number of words; empty: the file names none.
    """

    width: int
    height: int
    kind: str
    count: int = 1
    alpha: int | None = None
    premultiplied: bool = False
    inverted: bool = False
    nodata: float | None = None
    names: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Block:
    """A part of a picture.

    Attributes:
        top: its first row; `left`: its first column.
        numbers: (h, w, B), of the bands that were asked for; unspecified where `missing`.
        missing: the file does not have this part.
    """

    top: int
    left: int
    numbers: Numbers
    missing: bool = False


class Bands(Protocol):
    """The numbers of an open picture.

    Attributes:
        info: from the header.
    """

    info: BandsInfo

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """Yield the picture in blocks that do not overlap.

        Args:
            bands: indices of the bands, in the order in which they are wanted.
            some: about this many blocks, spread evenly; 0: all of them.
            truncated: parts that the file lacks are yielded as missing, instead of an error.

        Raises:
            PhotoError: it is broken.
        """


def kind_of(dtype: np.dtype[Any]) -> str:
    """Return the kind of numbers of a numpy type."""
    return "float" if dtype.kind == "f" else dtype.name


def indices_of(wanted: BandChoice, count: int, names: Sequence[Sequence[str]]) -> list[int]:
    """Return the indices of bands, from 0.

    Args:
        wanted: numbers from 1, or names, of which capitals do not matter.
        count: of the bands of the picture.
        names: of each of them, none or several; the first ones go before the others.

    Raises:
        PhotoError: it does not have them, or several of a name.
    """
    numbers = [band for band in wanted if isinstance(band, int)]
    if max(numbers, default=0) > count:
        raise PhotoError(f"it has {count} band{'s' * (count > 1)}, and band {max(numbers)} is wanted")
    return [band - 1 if isinstance(band, int) else _named_band(band, names) for band in wanted]


def _named_band(name: str, names: Sequence[Sequence[str]]) -> int:
    for level in range(max(map(len, names), default=0)):
        found = [i for i, those in enumerate(names) if _same(name, *those[level : level + 1])]
        if len(found) == 1:
            return found[0]
        if found:
            raise PhotoError(f"{len(found)} of its bands are named {shown(name)}; give its number instead")
    if not any(names):
        raise PhotoError(f"its bands have no names, and the band {shown(name)} is wanted; give its number instead")
    known = ", ".join(f"{i} ({' or '.join(map(shown, those))})" for i, those in enumerate(names, 1) if those)
    raise PhotoError(f"it has no band of the name {shown(name)}; the names are {known}")


def _same(name: str, other: str = "") -> bool:
    return name.casefold() == other.casefold()


class ImageBands:
    """One band of a picture that Pillow decodes to more than 8 bits."""

    def __init__(self, image: Image.Image, kind: str, size: tuple[int, int] | None = None) -> None:
        width, height = size or image.size
        self.info = BandsInfo(width, height, kind)
        self._image = image

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        for top, rows in row_blocks(self._image):
            yield Block(top, 0, rows[..., None])


def row_blocks(image: Image.Image) -> Iterator[tuple[int, Numbers]]:
    """Yield a picture as arrays of whole rows, (h, W) or (h, W, C), each with its first row.

    An array of the whole would be a second copy of it.
    """
    image.load()
    width, height = image.size
    rows = max(1, _BLOCK // (8 * width))
    for top in range(0, height, rows):
        yield top, np.asarray(image.crop((0, top, width, min(top + rows, height))))
