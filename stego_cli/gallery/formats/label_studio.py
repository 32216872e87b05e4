"""Label Studio: `tasks.json` to import, and `label_config.xml` for the project. Polygons, without holes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

from stego_cli.classes_toml import hexadecimal
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
from stego_cli.text import shown, visible

FILE, CONFIG = "tasks.json", "label_config.xml"
_LOCAL = "/data/local-files/?d="  # how Label Studio writes files below its document root


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, dict[str, Any]]:
    """Return the task, with the regions as a prediction that a person accepts or corrects."""
    height, width = photo.labels.shape
    results: list[dict[str, Any]] = []
    for value, shape in polygons(photo.labels, shaping.outline, shaping.min_area):
        for piece in without_holes(shape):
            corners = ring(piece.exterior.coords)
            points = [[round(100 * x / width, 5), round(100 * y / height, 5)] for x, y in corners]
            results.append(
                {
                    "id": f"region-{len(results)}",
                    "type": "polygonlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": {"points": points, "closed": True, "polygonlabels": [visible(classes[value].name)]},
                }
            )
    address = _LOCAL + quote(photo.path)
    prediction = {"model_version": "stego", "result": results}
    return photo, {"data": {"image": address}, "predictions": [prediction]}


def write(
    encoded: Iterable[tuple[PhotoLabels, dict[str, Any]]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write both files."""
    tasks = []
    for photo, task in encoded:
        tasks.append(task)
        if shaping.with_photos:
            place_photo(photo, out, f"images/{photo.path}")
    write_file(out, FILE, json.dumps(tasks).encode())
    labels = "".join(
        f"    <Label value={quoteattr(visible(row.name))} background={quoteattr(hexadecimal(row.colour))}/>\n"
        for row in classes
    )
    config = (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <PolygonLabels name="label" toName="image" opacity="0.5">\n{labels}  </PolygonLabels>\n</View>\n'
    )
    write_file(out, CONFIG, config.encode())


def read(source: Path) -> Imported:
    """Read an export in JSON, or the file in a folder; annotations go before predictions.

    Raises:
        UsageError: it is none.
    """
    file = source / FILE if source.is_dir() else source
    try:
        tasks = json.loads(file.read_bytes())
        regions = {_path(task): _regions(task) for task in tasks}
        names = sorted({name for found in regions.values() for each in found for name in _names(each)})
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{shown(file)} is no export of Label Studio: {error!r}.") from error
    colours = palette(len(names))
    classes = [ClassRow(name, colour, index) for index, (name, colour) in enumerate(zip(names, colours, strict=True))]
    number = {row.name: row.value for row in classes}
    return Imported(classes, [_photo(path, found, number) for path, found in regions.items()])


def _path(task: dict[str, Any]) -> str:
    address = str(task["data"]["image"])
    return unquote(address.partition("?d=")[2] or address).lstrip("/")


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    done = [each for each in task.get("annotations", []) if not each.get("was_cancelled")]
    results = [each["result"] for each in done or task.get("predictions", [])]
    return [region for region in (results[0] if results else []) if region.get("type") == "polygonlabels"]


def _names(region: dict[str, Any]) -> list[str]:
    return [str(region["value"]["polygonlabels"][0])]


def _photo(path: str, regions: list[dict[str, Any]], number: dict[str, int]) -> ImportedPhoto:
    def labels() -> Labels:
        if not regions:
            raise PhotoError("it has no regions, and therefore no size")
        try:
            width, height = int(regions[0]["original_width"]), int(regions[0]["original_height"])
            shapes = [
                (
                    number[_names(each)[0]],
                    [[(float(x) / 100 * width, float(y) / 100 * height) for x, y in each["value"]["points"]]],
                )
                for each in regions
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise PhotoError(f"its regions are broken: {error!r}") from error
        return paint(shapes, height, width)

    return ImportedPhoto(path, labels)
