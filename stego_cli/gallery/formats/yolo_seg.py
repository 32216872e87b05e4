"""YOLO segmentation: a text file for each photograph in labels/, a polygon a line, and data.yaml.

Polygons have no holes there: regions with holes are cut into pieces without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

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
from stego_cli.images.decode import photo_size
from stego_cli.images.discover import DECODED
from stego_cli.palette import palette

_NAME = re.compile(r"\s+(\d+): (\".*\"|.*)")


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, str]:
    """Return the text file's content."""
    height, width = photo.labels.shape
    lines = []
    for value, shape in polygons(photo.labels, shaping.outline, shaping.min_area):
        for piece in without_holes(shape):
            corners = ring(piece.exterior.coords)
            lines.append(f"{value} " + " ".join(f"{x / width:.7g} {y / height:.7g}" for x, y in corners) + "\n")
    return photo, "".join(lines)


def write(encoded: Iterable[tuple[PhotoLabels, str]], classes: Sequence[ClassRow], out: Path, shaping: Shaping) -> None:
    """Write the text files and data.yaml."""
    for photo, text in encoded:
        write_file(out, f"labels/{photo.stem}.txt", text.encode())
        if shaping.with_photos:
            place_photo(photo, out, f"images/{photo.stem}{Path(photo.path).suffix}")
    # JSON's text in quotes is YAML's as well.
    names = "".join(f"  {index}: {json.dumps(row.name)}\n" for index, row in enumerate(classes))
    about = f"path: {json.dumps(str(out.absolute()))}\ntrain: images\nval: images\nnames:\n{names}"
    write_file(out, "data.yaml", about.encode())


def read(source: Path) -> Imported:
    """Read a data set whose photographs are in images/, since the text files tell shares of their size alone.

    Raises:
        UsageError: there is no data.yaml, or it lists no names.
    """
    file = source / "data.yaml"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    rows = [_NAME.fullmatch(line) for line in text.partition("names:")[2].splitlines()]
    names = [json.loads(row[2]) if row[2].startswith('"') else row[2].strip("' ") for row in rows if row]
    if not names:
        raise UsageError(f"{file} has no list of names.", "It is written below names:, a line such as 0: sky each.")
    classes = [
        ClassRow(name, colour, index)
        for index, (name, colour) in enumerate(zip(names, palette(len(names)), strict=True))
    ]
    images = source / "images"
    photos = [path for path in sorted(images.rglob("*")) if path.suffix.lower() in DECODED]
    return Imported(classes, [_photo(path, images, source / "labels", len(names)) for path in photos])


def _photo(photo: Path, images: Path, folder: Path, count: int) -> ImportedPhoto:
    place = photo.relative_to(images)

    def labels() -> Labels:
        width, height = photo_size(photo)
        shapes = []
        try:
            for line in (folder / place.with_suffix(".txt")).read_text().splitlines():
                value, *edges = line.split()
                corners = zip(map(float, edges[::2]), map(float, edges[1::2]), strict=True)
                if not 0 <= int(value) < count:
                    raise ValueError(f"class {value}")
                shapes.append((int(value), [[(x * width, y * height) for x, y in corners]]))
        except (OSError, ValueError) as error:
            raise PhotoError(f"its polygons are missing or broken: {error}") from error
        return paint(shapes, height, width)

    return ImportedPhoto(place.as_posix(), labels)
