"""labelme: a JSON file for each photograph, which names the photograph by a relative path."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

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
from stego_cli.text import shown

_VERSION = "5.4.1"  # whose files have these keys


def encode(
    photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping
) -> tuple[PhotoLabels, list[dict[str, Any]]]:
    """Return the shapes."""
    return photo, [
        {
            "label": classes[value].name,
            "points": [list(point) for point in ring(piece.exterior.coords)],
            "group_id": None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
        for value, shape in polygons(photo.labels, shaping.outline, shaping.min_area)
        for piece in without_holes(shape)
    ]


def write(
    encoded: Iterable[tuple[PhotoLabels, list[dict[str, Any]]]],
    classes: Sequence[ClassRow],
    out: Path,
    shaping: Shaping,
) -> None:
    """Write the files, and labels.txt with the names."""
    for photo, shapes in encoded:
        target = out / f"{photo.stem}.json"
        if shaping.with_photos:
            place = f"{photo.stem}{Path(photo.path).suffix}"
            place_photo(photo, out, place)
            path = Path(place).name
        else:
            path = shown(os.path.relpath(photo.photo or photo.path, target.parent))
        height, width = photo.labels.shape
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": path,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_file(out, f"{photo.stem}.json", json.dumps(content).encode())
    names = "".join(f"{' '.join(row.name.split())}\n" for row in classes)
    write_file(out, "labels.txt", f"__ignore__\n{names}".encode())


def read(source: Path) -> Imported:
    """Read a folder of JSON files; the classes are those in labels.txt, then others in the order of their names.

    Raises:
        UsageError: there is none.
    """
    files = sorted(source.rglob("*.json"))
    if not files:
        raise UsageError(f"There is no JSON file of labelme in {shown(source)}.")
    contents = {file: _content(file) for file in files}
    used = {str(shape.get("label")) for content in contents.values() for shape in content.get("shapes", [])}
    listed = _listed(source)
    names = [name for name in listed if name in used] + sorted(used - set(listed))
    classes = [
        ClassRow(name, colour, index)
        for index, (name, colour) in enumerate(zip(names, palette(len(names)), strict=True))
    ]
    number = {row.name: row.value for row in classes}
    return Imported(classes, [_photo(file, source, content, number) for file, content in contents.items()])


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        content = None
    return content if isinstance(content, dict) else {}


def _listed(source: Path) -> list[str]:
    try:
        return (source / "labels.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _photo(file: Path, source: Path, content: dict[str, Any], number: dict[str, int]) -> ImportedPhoto:
    def labels() -> Labels:
        try:
            shapes = [
                (number[str(shape["label"])], [[(float(x), float(y)) for x, y in shape["points"]]])
                for shape in content["shapes"]
                if shape.get("shape_type", "polygon") == "polygon"
            ]
            return paint(shapes, int(content["imageHeight"]), int(content["imageWidth"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PhotoError(f"not a file of labelme, or a broken one: {error!r}") from error

    suffix = Path(str(content.get("imagePath", ""))).suffix or ".jpg"
    return ImportedPhoto(file.relative_to(source).with_suffix(suffix).as_posix(), labels)
