"""Labels that are polygons: labelme's JSON for each photograph, CVAT's XML and COCO's JSON for many.

Pixels outside all shapes are class 0, background. Shapes are drawn in the order of the file (labelme), by z-order
(CVAT), or the larger ones first (COCO), so that small objects stay visible.
"""

from __future__ import annotations

import base64
import json
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.inventory import ClassMap
from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.decode import MAX_PIXELS
from stego_cli.images.label_files import open_label_picture
from stego_cli.text import shown

BACKGROUND = "background"
_BACKGROUNDS = ("background", "_background_", "__background__")
_IGNORED = ("__ignore__", "_ignore_", "ignore", "void")
_LARGEST = 256 << 20  # bytes of an annotation file
_FARTHEST = 1 << 16  # pixels from the origin to a point
_BROKEN = (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError, RecursionError, MemoryError)

Painter = Callable[[ClassMap, int], None]  # draws one shape with the number of a class


@dataclass(frozen=True)
class Shape:
    """A shape: the name of its class, and what draws it."""

    name: str
    paint: Painter


@dataclass(frozen=True)
class Drawing:
    """The shapes of one photograph, in the order in which they are drawn; sizes are pixels."""

    width: int
    height: int
    shapes: tuple[Shape, ...]

    def draw(self, classes: dict[str, int]) -> ClassMap:
        """Return the class of each pixel, uint8 (H, W).

        Args:
            classes: number of each class; names that are not in it are void.

        Raises:
            PhotoError: a shape is broken, or the size is impossible.
        """
        if not 0 < self.width * self.height <= MAX_PIXELS:
            raise PhotoError(f"a label of {self.width} x {self.height} pixels")
        ids: ClassMap = np.zeros((self.height, self.width), dtype=np.uint8)
        try:
            for shape in self.shapes:
                shape.paint(ids, classes.get(shape.name, VOID))
        except _BROKEN as error:
            raise PhotoError(f"a shape is broken: {error}") from error
        return ids


@dataclass
class Annotations:
    """An annotation file of many photographs: their drawings by file name, and its classes in order."""

    drawings: dict[str, Drawing] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def table_of_shapes(names: Iterable[str], given: ClassTable | None) -> tuple[ClassTable, dict[str, int]]:
    """Return the classes, background first, and the number of each name.

    Raises:
        UsageError: the user's classes do not have all names.
    """
    own = [name for name in dict.fromkeys(names) if name.lower() not in (*_BACKGROUNDS, *_IGNORED)]
    table = given or ClassTable((BACKGROUND, *own))
    numbers = {name: index for index, name in enumerate(table.names)}
    if missing := [name for name in own if name not in numbers]:
        raise UsageError(f"do not have the labels {', '.join(map(shown, missing[:8]))}", field="classes")
    if len(table.names) > VOID:
        raise UsageError(f"The labels have {len(table.names)} classes; at most {VOID} are possible.")
    numbers |= dict.fromkeys(_BACKGROUNDS, 0) | dict.fromkeys(_IGNORED, VOID)
    return table, numbers


def read_labelme(content: bytes) -> Drawing:
    """Return the drawing in a file of labelme.

    Raises:
        PhotoError: it is not one.
    """
    try:
        found = _json(content)
        shapes = tuple(
            Shape(str(shape["label"]), _labelme_shape(shape)) for shape in found["shapes"] if _has_area(shape)
        )
        return Drawing(int(found["imageWidth"]), int(found["imageHeight"]), shapes)
    except _BROKEN as error:
        raise PhotoError(f"not a file of labelme ({error})") from error


def read_annotations(content: bytes, file: str) -> Annotations | None:
    """Return the drawings in a file of CVAT (XML) or COCO (JSON); None if it is neither, or has no shapes.

    Raises:
        PhotoError: it is one and broken.
    """
    if len(content) > _LARGEST:
        return None
    try:
        if file.lower().endswith(".xml"):
            return _cvat(ElementTree.fromstring(content)) if b"<annotations" in content[:4096] else None
        found = _json(content)
        is_coco = isinstance(found, dict) and {"images", "annotations", "categories"} <= found.keys()
        return _coco(found) if is_coco else None
    except (*_BROKEN, ElementTree.ParseError) as error:
        raise PhotoError(f"{shown(file)} cannot be read: {error}") from error


def _later(make: Callable[..., Painter], *about: Any) -> Painter:  # noqa: ANN401  (what a file holds)
    """Return a painter that is made when it draws, so that a broken shape fails one photograph and not the file."""
    return lambda ids, number: make(*about)(ids, number)


def _json(content: bytes) -> Any:  # noqa: ANN401  (what JSON holds)
    return json.loads(content.decode("utf-8-sig"))


def _has_area(shape: dict[str, Any]) -> bool:
    return shape.get("shape_type", "polygon") in ("polygon", "rectangle", "circle", "mask")


def _labelme_shape(shape: dict[str, Any]) -> Painter:
    kind = shape.get("shape_type", "polygon")
    points = _points(shape["points"])
    if kind == "mask":
        left, top = (round(each) for each in points[0])
        inside = np.asarray(open_label_picture(base64.b64decode(shape["mask"])).convert("L")) > 0
        return lambda ids, number: _fill(ids, number, inside, top, left)
    if kind == "circle":
        (x, y), (on_x, on_y) = points
        radius = float(np.hypot(on_x - x, on_y - y))
        return _drawn("ellipse", [(x - radius, y - radius), (x + radius, y + radius)])
    if kind == "rectangle":
        (left_, top_), (right, bottom) = points
        box = [(min(left_, right), min(top_, bottom)), (max(left_, right), max(top_, bottom))]
        return _drawn("rectangle", box)
    return _drawn("polygon", points)


def _drawn(kind: str, points: Sequence[tuple[float, float]]) -> Painter:
    points = _points(points)

    def paint(ids: ClassMap, number: int) -> None:
        image = Image.new("1", (ids.shape[1], ids.shape[0]))
        pen = ImageDraw.Draw(image)
        getattr(pen, kind)(points, fill=1, outline=1)
        ids[np.asarray(image)] = number

    return paint


def _fill(ids: ClassMap, number: int, inside: np.ndarray, top: int, left: int) -> None:
    part = ids[max(0, top) : top + inside.shape[0], max(0, left) : left + inside.shape[1]]
    part[inside[max(0, -top) :, max(0, -left) :][: part.shape[0], : part.shape[1]]] = number


def _cvat(root: ElementTree.Element) -> Annotations | None:
    found = Annotations(names=[element.text or "" for element in root.findall("./meta//labels/label/name")])
    for image in root.iter("image"):
        shapes = []
        for order, element in enumerate(image):
            if element.tag in ("polygon", "mask", "ellipse", "box"):
                name = element.attrib["label"]
                if name not in found.names:
                    found.names.append(name)
                shapes.append((int(element.attrib.get("z_order", 0)), order, Shape(name, _later(_cvat_shape, element))))
        ordered = tuple(shape for _, _, shape in sorted(shapes, key=lambda each: each[:2]))
        size = int(image.attrib["width"]), int(image.attrib["height"])
        found.drawings[image.attrib["name"]] = Drawing(*size, ordered)
    return found if found.drawings else None


def _cvat_shape(element: ElementTree.Element) -> Painter:
    about = element.attrib
    if element.tag == "mask":
        counts = [int(each) for each in about["rle"].split(",")]
        inside = _runs(counts, int(about["width"]), int(about["height"]))
        return lambda ids, number: _fill(ids, number, inside, int(float(about["top"])), int(float(about["left"])))
    if element.tag == "box":
        return _drawn(
            "rectangle", [(float(about["xtl"]), float(about["ytl"])), (float(about["xbr"]), float(about["ybr"]))]
        )
    if element.tag == "ellipse":
        x, y, rx, ry = (float(about[key]) for key in ("cx", "cy", "rx", "ry"))
        return _drawn("ellipse", [(x - rx, y - ry), (x + rx, y + ry)])
    return _drawn(
        "polygon", [(float(x), float(y)) for x, y in (pair.split(",") for pair in about["points"].split(";"))]
    )


def _coco(found: dict[str, Any]) -> Annotations | None:
    categories = {int(each["id"]): each for each in sorted(found["categories"], key=lambda each: int(each["id"]))}
    by_image: dict[Any, list[dict[str, Any]]] = {}
    for each in found["annotations"]:
        if each.get("segmentation"):
            by_image.setdefault(each["image_id"], []).append(each)
    if not by_image:
        return None
    used = {int(each["category_id"]) for those in by_image.values() for each in those}
    above = {str(each.get("supercategory", "")) for each in categories.values()}
    # Roboflow adds a category that all others belong to, and that no shape has.
    names = {
        key: str(each["name"]) for key, each in categories.items() if key in used or str(each["name"]) not in above
    }
    result = Annotations(names=list(names.values()))
    for image in found["images"]:
        width, height = int(image["width"]), int(image["height"])
        those = sorted(by_image.get(image["id"], ()), key=lambda each: -float(each.get("area") or 0))
        shapes = tuple(
            Shape(names[int(each["category_id"])], _later(_coco_shape, each["segmentation"], width, height))
            for each in those
        )
        result.drawings[str(image["file_name"])] = Drawing(width, height, shapes)
    return result


def _coco_shape(segmentation: Any, width: int, height: int) -> Painter:  # noqa: ANN401  (what JSON holds)
    if isinstance(segmentation, dict):
        inside = _runs(_counts(segmentation["counts"]), width, height, down=True)
        return lambda ids, number: _fill(ids, number, inside, 0, 0)
    parts = [_points(list(zip(part[::2], part[1::2], strict=True))) for part in segmentation if len(part) >= 6]

    def paint(ids: ClassMap, number: int) -> None:
        try:
            from pycocotools import mask
        except ImportError as error:
            raise PhotoError('polygons of COCO need pycocotools: pip install "stego-cli[coco]"') from error
        # Its arrays have an interface that NumPy 2 warns of.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
        encoded = mask.frPyObjects([[value for point in part for value in point] for part in parts], height, width)
        ids[mask.decode(mask.merge(encoded)).astype(bool)] = number

    return paint if parts else lambda ids, number: None


def _counts(counts: Any) -> list[int]:  # noqa: ANN401  (what JSON holds)
    """Return the run lengths of COCO; compressed they are differences from the last but one, five bits a character."""
    if not isinstance(counts, str):
        return [int(count) for count in counts]
    found: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    return found


def _runs(counts: list[int], width: int, height: int, down: bool = False) -> NDArray[np.bool_]:
    """Return what run lengths cover, bool (H, W), beginning outside; `down`: they go down the columns."""
    runs = np.array(counts, dtype=np.int64)
    if not 0 < width * height <= MAX_PIXELS or (runs < 0).any() or int(runs.sum()) != width * height:
        raise ValueError("run lengths that do not fill the picture")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T if down else flat.reshape(height, width)


def _points(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Return points as numbers, none of them far outside every picture, where drawing would take for ever."""
    found = [(float(x), float(y)) for x, y in points]
    if not all(abs(x) <= _FARTHEST and abs(y) <= _FARTHEST for x, y in found):  # NaN is not
        raise ValueError("a point that is far outside")
    return found
