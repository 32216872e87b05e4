"""Which channel, depth and time each page of an OME-TIFF is, as the XML in its first page says.

https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/specification.html
"""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stego_cli.images.readers.tiff_tags import IMAGE_DESCRIPTION, Directory
from stego_cli.text import shown

_MOST = 1 << 24  # bytes of XML
_MOST_PAGES = 1 << 16
_AXES = "CZT"
_WORDS = {"C": "channels", "Z": "depths", "T": "times"}
Place = tuple[tuple[str, int], ...]  # axes of more than one page, and the number on each, from 0


@dataclass(frozen=True)
class Planes:
    """The pages of an OME-TIFF.

    Attributes:
        places: of each page that the XML tells of, by its number in the file.
        said: how many there are on each axis, in words.
    """

    places: dict[int, Place]
    said: str


def planes_of(file: Path, stream: BinaryIO, page: Directory) -> Planes | None:
    """Return what the XML of a file's first page says; None: there is none, or it is broken.

    Args:
        file: its path, whose name the XML may use.
        stream: the open file; `page`: its first page.
    """
    text = page.text(stream, IMAGE_DESCRIPTION, _MOST).encode("latin-1")
    if b"<OME" not in text[:4096] or b"<!" in text.replace(b"<!--", b""):  # no entities, which may grow without end
        return None
    try:
        root = ElementTree.fromstring(text)
        images = [element for element in root.iter() if _name(element) == "Pixels"]
        return _planes(images, file.name) if len(images) == 1 else None
    except (ElementTree.ParseError, ValueError, KeyError):
        return None


def _planes(images: list[ElementTree.Element], file: str) -> Planes:
    (pixels,) = images
    channels = [element for element in pixels if _name(element) == "Channel"]
    samples = int(channels[0].get("SamplesPerPixel", "1")) if channels else 1
    sizes = {axis: int(pixels.attrib[f"Size{axis}"]) for axis in _AXES}
    sizes["C"] = max(1, sizes["C"] // max(1, samples))  # the colours of an RGB page are no channels of their own
    order = [axis for axis in pixels.attrib["DimensionOrder"] if axis in _AXES]  # the first one changes the fastest
    if sorted(order) != sorted(_AXES) or min(sizes.values()) < 1:
        raise ValueError("not three axes")
    places: dict[int, Place] = {}
    for data in (element for element in pixels if _name(element) == "TiffData"):
        if any(element.get("FileName", file) != file for element in data):
            continue  # of another file
        whole = "IFD" not in data.attrib
        count = int(data.get("PlaneCount", "1" if not whole else str(_MOST_PAGES)))
        for step in range(min(count, _MOST_PAGES)):
            place = _place(order, sizes, {axis: int(data.get(f"First{axis}", "0")) for axis in _AXES}, step)
            if place is None:
                break
            places[int(data.get("IFD", "0")) + step] = place
    axes = [f"{sizes[axis]} {_WORDS[axis]}" for axis in _AXES if sizes[axis] > 1]
    names = [shown(channel.get("Name", "")) for channel in channels]
    if any(names) and sizes["C"] > 1:
        axes[0] += f" ({', '.join(names)})"
    return Planes(places, " x ".join(axes))


def _place(order: list[str], sizes: dict[str, int], first: dict[str, int], step: int) -> Place | None:
    """Return the place of the plane so many steps behind the first one; None: beyond the last one."""
    strides = dict(
        zip(order, itertools.accumulate([1, *(sizes[axis] for axis in order)], lambda a, b: a * b), strict=False)
    )
    at = step + sum(first[axis] * strides[axis] for axis in order)
    if not 0 <= at < sizes["C"] * sizes["Z"] * sizes["T"]:
        return None
    return tuple((axis, at // strides[axis] % sizes[axis]) for axis in _AXES if sizes[axis] > 1)


def _name(element: ElementTree.Element) -> str:
    """Return the name of an element without its name space."""
    return element.tag.rpartition("}")[2]
