"""Crops of regions: which ones show a class best, and the pictures of them."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.gallery.likeness import AllRegions, Looks
from stego_cli.gallery.mask_tree import read_labels
from stego_cli.gallery.survey import Floats
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import decode, photo_size
from stego_cli.images.ids import resize_ids

CROPS = 8  # of each kind for each class
_SIDE = 200  # pixels, the longer side of a crop
_MARGIN = 0.12  # of a region's box, on each side
_LEAST_SIDE = 0.12  # of a photograph's longer side that a crop shows, so that a small region is seen where it is
_LARGEST_PHOTO = 2400  # pixels, the longer side of what crops are cut from
_LINE = (255, 235, 60)
_SMALL = 0.01  # share of a photograph below which a region is shown only where a class has no larger ones


@dataclass(frozen=True)
class Crop:
    """A region to be shown.

    Attributes:
        region: its index.
        file: name of its picture.
        photograph: index of it.
        number: of its class.
        box: left, top, right and bottom as shares of width and height.
    """

    region: int
    file: str
    photograph: int
    number: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class CropsOfPhoto:
    """What is to be cut from one photograph: its file, its mask's, the class's number of each value, and the crops."""

    photo: Path
    mask: Path
    numbers: NDArray[np.uint8]
    crops: tuple[Crop, ...]
    folder: Path


def choose_crops(regions: AllRegions, looks: Looks, doubts: Floats) -> dict[str, dict[int, list[Crop]]]:
    """Return the "typical" and the "doubtful" crops of each class, the most so first; no photograph twice in a row.

    Typical regions look most like their class; doubtful ones have the greatest doubt. No region is in both.
    """
    distances = looks.own(regions)
    chosen: dict[str, dict[int, list[Crop]]] = {"typical": {}, "doubtful": {}}
    for number in looks.numbers:
        own = np.flatnonzero(regions.numbers == number)
        large = own[regions.areas[own] >= _SMALL]
        own = large if len(large) >= 2 * CROPS else own
        half = min(CROPS, -(-len(own) // 2))
        typical = _spread_out(own[np.argsort(distances[own], kind="stable")], regions, half)
        rest = np.setdiff1d(own, typical)
        doubtful = _spread_out(rest[np.argsort(-doubts[rest], kind="stable")], regions, CROPS)
        for kind, indices in (("typical", typical), ("doubtful", doubtful)):
            chosen[kind][int(number)] = [
                _crop(regions, index, f"{int(number)}-{kind}-{rank}.jpg") for rank, index in enumerate(indices)
            ]
    return chosen


def _spread_out(ordered: NDArray[np.int64], regions: AllRegions, count: int) -> list[int]:
    """Return the first `count`, those of photographs that have one already only where there are too few others."""
    first: list[int] = []
    later: list[int] = []
    photographs: set[int] = set()
    for index in map(int, ordered):
        photograph = int(regions.photographs[index])
        (later if photograph in photographs else first).append(index)
        photographs.add(photograph)
        if len(first) == count:
            break
    return [*first, *later][:count]


def _crop(regions: AllRegions, index: int, file: str) -> Crop:
    left, top, right, bottom = (float(edge) for edge in regions.boxes[index])
    return Crop(index, file, int(regions.photographs[index]), int(regions.numbers[index]), (left, top, right, bottom))


def by_photograph(crops: Sequence[Crop]) -> dict[int, tuple[Crop, ...]]:
    """Return the crops of each photograph."""
    grouped: defaultdict[int, list[Crop]] = defaultdict(list)
    for crop in crops:
        grouped[crop.photograph].append(crop)
    return {photograph: tuple(those) for photograph, those in sorted(grouped.items())}


def cut_crops(wanted: CropsOfPhoto) -> list[str]:
    """Write the crops of one photograph; return the names of their files, none if it can no longer be read.

    Raises:
        OutputError: a picture cannot be written.
    """
    try:
        labels = wanted.numbers[read_labels(wanted.mask)]
        size = photo_size(wanted.photo)
        scale = min(1.0, _LARGEST_PHOTO / max(size))
        pixels = decode(wanted.photo, max(1, round(min(size) * scale)), 1).pixels
    except (PhotoError, OSError):
        return []
    labels = resize_ids(labels, *pixels.shape[:2])
    for crop in wanted.crops:
        write_bytes(wanted.folder / crop.file, _picture(pixels, labels == crop.number, crop.box))
    return [crop.file for crop in wanted.crops]


def _picture(pixels: NDArray[np.uint8], inside: NDArray[np.bool_], box: tuple[float, float, float, float]) -> bytes:
    """Return a JPEG of a box with a margin; what is not of the class is dark and grey, behind a bright line."""
    height, width = inside.shape
    least = _LEAST_SIDE * max(width, height)
    left, right = _with_margin(box[0] * width, box[2] * width, least, width)
    top, bottom = _with_margin(box[1] * height, box[3] * height, least, height)
    image, chosen = (Image.fromarray(plane[top:bottom, left:right]) for plane in (pixels, inside))
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    within = np.asarray(chosen.resize(image.size, Image.Resampling.NEAREST))
    shown = np.asarray(image, np.float32)
    shown = np.where(within[..., None], shown, 0.4 * shown.mean(2, keepdims=True))
    edge = np.zeros_like(within)
    edge[:-1] |= within[:-1] != within[1:]
    edge[:, :-1] |= within[:, :-1] != within[:, 1:]
    image = Image.fromarray(np.where(edge[..., None], _LINE, shown).astype(np.uint8))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=82)
    return stream.getvalue()


def _with_margin(low: float, high: float, least: float, limit: int) -> tuple[int, int]:
    """Return the first and the last but one pixel of a side of a crop."""
    margin = max(_MARGIN * (high - low), (least - (high - low)) / 2)
    first = min(max(0, int(low - margin)), limit - 1)
    return first, max(first + 1, min(limit, int(high + margin) + 1))
