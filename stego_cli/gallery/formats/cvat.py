"""CVAT for images 1.1: one `annotations.xml`. Classes are exact masks, or with a tolerance polygons without holes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.classes_toml import hexadecimal, parse_colour
from stego_cli.errors import PhotoError, UsageError
from stego_cli.gallery.formats.common import (
    ClassRow,
    Imported,
    ImportedPhoto,
    Labels,
    PhotoLabels,
    Shaping,
    place_photo,
    write_file,
)
from stego_cli.gallery.formats.polygons import paint, polygons, ring, without_holes
from stego_cli.palette import palette
from stego_cli.text import visible

FILE = "annotations.xml"
_ENTITIES = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
Shapes = list[tuple[str, dict[str, str]]]


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, Shapes]:
    """Return the elements of one photograph: name and attributes."""
    if shaping.tolerance is None:
        return photo, [
            ("mask", {"label": _text(classes[value].name), **_mask(photo.labels == value)})
            for value in np.unique(photo.labels)
            if value != VOID
        ]
    return photo, [
        (
            "polygon",
            {
                "label": _text(classes[value].name),
                "points": ";".join(f"{x:.2f},{y:.2f}" for x, y in ring(piece.exterior.coords)),
            },
        )
        for value, shape in polygons(photo.labels, shaping.tolerance, shaping.min_area)
        for piece in without_holes(shape)
    ]


def write(
    encoded: Iterable[tuple[PhotoLabels, Shapes]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write the file."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    for row in classes:
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = _text(row.name)
        ElementTree.SubElement(label, "color").text = hexadecimal(row.colour)
        ElementTree.SubElement(label, "attributes")
    for number, (photo, shapes) in enumerate(encoded):
        height, width = photo.labels.shape
        image = ElementTree.SubElement(
            root, "image", id=str(number), name=_text(photo.path), width=str(width), height=str(height)
        )
        for name, attributes in shapes:
            ElementTree.SubElement(image, name, {"occluded": "0", "source": "manual", "z_order": "0", **attributes})
        if shaping.with_photos:
            place_photo(photo, out, f"images/{photo.path}")
    ElementTree.indent(root, " ")
    write_file(out, FILE, ElementTree.tostring(root, "utf-8", xml_declaration=True))


def read(source: Path) -> Imported:
    """Read an XML file, or the one in a folder.

    Raises:
        UsageError: it is none.
    """
    file = source / FILE if source.is_dir() else source
    try:
        content = file.read_bytes()
        if _ENTITIES.search(content):
            raise UsageError(f"{file} declares entities, which no file of CVAT does.")
        root = ElementTree.fromstring(content)
        listed = root.findall("meta/*/labels/label") or root.findall("meta/labels/label")
        usual = palette(len(listed))
        classes = [
            ClassRow(each.findtext("name", ""), parse_colour(each.findtext("color")) or usual[index], index)
            for index, each in enumerate(listed)
        ]
        number = {row.name: row.value for row in classes}
        photos = [_photo(each, number) for each in root.findall("image")]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise UsageError(f"{file} is no CVAT file: {error!r}.") from error
    if not classes:
        raise UsageError(f"{file} lists no labels.")
    return Imported(classes, photos)


def _text(text: str) -> str:
    """Return text with the letters that XML cannot hold written as escapes."""
    return "".join(letter if letter >= " " or letter in "\t\n\r" else visible(letter) for letter in text)


def _mask(inside: NDArray[np.bool_]) -> dict[str, str]:
    """Return the attributes of an exact mask: its box, and run lengths in it that begin with pixels outside."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    flat = inside[top : top + height, left : left + width].ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    runs = [0, *runs] if flat[0] else runs
    return {
        "rle": ", ".join(map(str, runs)),
        "left": str(left),
        "top": str(top),
        "width": str(width),
        "height": str(height),
    }


def _photo(image: Any, number: dict[str, int]) -> ImportedPhoto:  # noqa: ANN401  (Element has no type at run time)
    height, width = int(image.attrib["height"]), int(image.attrib["width"])
    shapes = sorted(image, key=lambda each: int(each.get("z_order", 0)))

    def labels() -> Labels:
        result = np.full((height, width), VOID, np.uint8)
        try:
            for each in shapes:
                if each.tag == "mask":
                    _paint_mask(result, each.attrib, number[each.attrib["label"]])
                elif each.tag == "polygon":
                    corners = [tuple(map(float, point.split(","))) for point in each.attrib["points"].split(";")]
                    rings = [[(x, y) for x, y in corners]]
                    result[paint([(0, rings)], height, width) == 0] = number[each.attrib["label"]]
        except (KeyError, ValueError, IndexError) as error:
            raise PhotoError(f"its shapes are broken: {error!r}") from error
        return result

    return ImportedPhoto(image.attrib["name"], labels)


def _paint_mask(labels: Labels, about: dict[str, str], value: int) -> None:
    left, top, width, height = (int(about[key]) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in about["rle"].split(",")]
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    labels[top : top + height, left : left + width][inside] = value
