"""COCO: one file. Classes are exact run lengths, or with a tolerance a polygon for each region."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stego_cli.classes import VOID
from stego_cli.errors import PhotoError, UsageError
from stego_cli.gallery.formats.common import (
    ClassRow,
    Imported,
    ImportedPhoto,
    Labels,
    PhotoLabels,
    Shaping,
    need,
    place_photo,
    write_file,
)
from stego_cli.gallery.formats.polygons import paint, polygons, ring
from stego_cli.palette import palette

FILE = "annotations/instances_default.json"  # where COCO's own layout, and CVAT, have it


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> dict[str, Any]:
    """Return the image and its annotations, both still without ids."""
    need("pycocotools", "pycocotools")
    height, width = photo.labels.shape
    parts = (
        _runs(photo.labels)
        if shaping.tolerance is None
        else _outlines(photo.labels, shaping.tolerance, shaping.min_area)
    )
    image = {"file_name": photo.path, "width": width, "height": height}
    return {"photo": photo, "image": image, "annotations": parts}


def write(encoded: Iterable[dict[str, Any]], classes: Sequence[ClassRow], out: Path, shaping: Shaping) -> None:
    """Write the file."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, each in enumerate(encoded, 1):
        images.append({"id": number, **each["image"]})
        for annotation in each["annotations"]:
            annotations.append({"id": len(annotations) + 1, "image_id": number, **annotation})
        if shaping.with_photos:
            place_photo(each["photo"], out, f"images/{each['photo'].path}")
    categories = [
        {"id": index + 1, "name": row.name, "supercategory": "", "color": list(row.colour)}
        for index, row in enumerate(classes)
    ]
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}
    write_file(out, FILE, json.dumps(content).encode())


def read(source: Path) -> Imported:
    """Read a COCO file, or the one in a folder.

    Raises:
        UsageError: it is none.
    """
    need("pycocotools", "pycocotools")
    file = source / FILE if source.is_dir() else source
    try:
        content = json.loads(file.read_bytes())
        categories = sorted(content["categories"], key=lambda each: each["id"])
        number = {each["id"]: index for index, each in enumerate(categories)}
        colours = palette(len(categories))
        classes = [
            ClassRow(str(each["name"]), _colour(each.get("color")) or colours[index], index)
            for index, each in enumerate(categories)
        ]
        of_image: dict[int, list[dict[str, Any]]] = {each["id"]: [] for each in content["images"]}
        for annotation in content["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        photos = [_photo(each, of_image[each["id"]], number) for each in content["images"]]
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no COCO file: {error!r}.") from error
    return Imported(classes, photos)


def _runs(labels: Labels) -> list[dict[str, Any]]:
    from pycocotools import mask

    parts = []
    for value in np.unique(labels):
        if value != VOID:
            inside = np.asfortranarray(labels == value, np.uint8)
            runs = mask.encode(inside)
            parts.append(
                {
                    "category_id": int(value) + 1,
                    "segmentation": {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")},
                    "area": float(mask.area(runs)),
                    "bbox": [float(edge) for edge in mask.toBbox(runs)],
                    "iscrowd": 0,
                }
            )
    return parts


def _outlines(labels: Labels, tolerance: float, min_area: float) -> list[dict[str, Any]]:
    from pycocotools import mask

    parts = []
    for value, shape in polygons(labels, tolerance, min_area):
        left, top, right, bottom = shape.bounds
        rings = [ring(shape.exterior.coords), *(ring(hole.coords) for hole in shape.interiors)]
        segmentation: object = [[edge for point in rings[0] for edge in point]]
        if len(rings) > 1:  # a list of polygons is their union here, so a hole needs run lengths
            runs = mask.encode(np.asfortranarray(paint([(1, rings)], *labels.shape) == 1, np.uint8))
            segmentation = {"size": list(runs["size"]), "counts": runs["counts"].decode("ascii")}
        parts.append(
            {
                "category_id": value + 1,
                "segmentation": segmentation,
                "area": round(shape.area, 2),
                "bbox": [round(edge, 2) for edge in (left, top, right - left, bottom - top)],
                "iscrowd": 0,
            }
        )
    return parts


def _photo(image: dict[str, Any], annotations: list[dict[str, Any]], number: dict[int, int]) -> ImportedPhoto:
    height, width = int(image["height"]), int(image["width"])

    def labels() -> Labels:
        from pycocotools import mask

        result = np.full((height, width), VOID, np.uint8)
        try:
            for annotation in sorted(annotations, key=lambda each: -float(each.get("area", 0))):
                value, shape = number[annotation["category_id"]], annotation["segmentation"]
                if isinstance(shape, dict):
                    runs = mask.frPyObjects(shape, height, width) if isinstance(shape["counts"], list) else shape
                    result[mask.decode(runs).astype(bool)] = value
                else:
                    rings = [list(zip(line[::2], line[1::2], strict=True)) for line in shape]
                    inside = paint([(0, [line]) for line in rings], height, width)
                    result[inside == 0] = value
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise PhotoError(f"its annotations are broken: {error!r}") from error
        return result

    return ImportedPhoto(str(image["file_name"]), labels)


def _colour(content: object) -> tuple[int, int, int] | None:
    if isinstance(content, list) and len(content) == 3 and all(type(each) is int for each in content):
        red, green, blue = (min(255, max(0, each)) for each in content)
        return red, green, blue
    return None
