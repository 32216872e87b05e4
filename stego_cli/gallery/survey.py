"""What one photograph and its mask show: a small picture, a small mask, and figures of the regions in it.

Regions are connected pixels of one class. How a region looks is a short row of numbers (colour, contrast, texture,
height in the picture), by which regions of all photographs are compared. All of it is measured on small pictures.
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.gallery.mask_tree import read_labels
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import decode, photo_size
from stego_cli.images.ids import resize_ids
from stego_cli.inference.outputs import place

LOOKS = 6  # numbers that say how a region looks
_MEASURED = 256  # pixels, the longer side of what regions are measured on
_LEAST = 0.003  # share of the photograph below which a region counts only if its class has no larger one there
_MOST = 3  # regions of one class in one photograph

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Wanted:
    """One photograph to look at.

    Attributes:
        photo: its file; `mask`: its mask's; `picture`: where the small picture goes.
        numbers: the class's number of each value in masks, 256 of them, 255 for void.
        side: longer side of the small picture, pixels; `mask_side`: of the small mask.
        channels: channels of kept probabilities that belong to each value; empty: there are none.
    """

    photo: Path
    mask: Path
    picture: Path
    numbers: NDArray[np.uint8]
    side: int
    mask_side: int
    channels: NDArray[np.uint8]


@dataclass(frozen=True)
class Regions:
    """The regions of one photograph that are large enough, R of them.

    Attributes:
        numbers: uint8 (R,), their classes.
        areas: float32 (R,), share of the photograph.
        boxes: float32 (R, 4), left, top, right and bottom as shares of width and height.
        looks: float32 (R, LOOKS).
        doubts: float32 (R,), 1 less the mean probability of their class; NaN where no probabilities were kept.
    """

    numbers: NDArray[np.uint8]
    areas: Floats
    boxes: Floats
    looks: Floats
    doubts: Floats


@dataclass(frozen=True)
class Seen:
    """What one photograph shows.

    Attributes:
        size: its width and height.
        small: width and height of the small mask; `labels`: its class numbers, row by row, zlib in base64.
        shares: of its pixels, by class number.
        borders: number of neighbouring pixels of two classes, int64 (256, 256), as (first, second, count) rows.
        regions: of it.
        problem: why it cannot be shown; empty if it can.
    """

    size: tuple[int, int] = (0, 0)
    small: tuple[int, int] = (0, 0)
    labels: str = ""
    shares: tuple[tuple[int, float], ...] = ()
    borders: tuple[tuple[int, int, int], ...] = ()
    regions: Regions | None = None
    problem: str = ""


def look_at(wanted: Wanted) -> Seen:
    """Look at one photograph and write its small picture.

    Raises:
        OutputError: the picture cannot be written.
    """
    try:
        labels = wanted.numbers[read_labels(wanted.mask)]
        width, height = photo_size(wanted.photo)
        pixels = _small_photo(wanted.photo, (width, height), wanted.side)
    except PhotoError as error:
        return Seen(problem=error.message)
    except OSError as error:
        return Seen(problem=error.strerror or str(error))
    _write_picture(pixels, wanted.picture)
    counts = np.bincount(labels.ravel(), minlength=256)
    small = _shrunk(labels, wanted.mask_side)
    measured = _shrunk(labels, _MEASURED)
    return Seen(
        size=(width, height),
        small=(small.shape[1], small.shape[0]),
        labels=base64.b64encode(zlib.compress(small.tobytes(), 9)).decode("ascii"),
        shares=tuple((int(number), float(counts[number] / labels.size)) for number in counts.nonzero()[0]),
        borders=_borders(measured),
        regions=_regions(measured, pixels, _doubt(wanted, measured)),
    )


def _small_photo(photo: Path, size: tuple[int, int], side: int) -> NDArray[np.uint8]:
    """Return the photograph with its longer side at most `side`: uint8 (H, W, 3)."""
    scale = min(1.0, side / max(size))
    return decode(photo, max(1, round(min(size) * scale)), 1).pixels


def _write_picture(pixels: NDArray[np.uint8], picture: Path) -> None:
    import io

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    write_bytes(picture, stream.getvalue())


def _shrunk(labels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return labels with the longer side at most `side`, by the nearest pixel."""
    height, width = labels.shape
    scale = min(1.0, side / max(width, height))
    small: NDArray[np.uint8] = resize_ids(labels, max(1, round(height * scale)), max(1, round(width * scale)))
    return small


def _borders(labels: NDArray[np.uint8]) -> tuple[tuple[int, int, int], ...]:
    pairs = np.concatenate(
        [
            np.stack([labels[:, :-1].ravel(), labels[:, 1:].ravel()]),
            np.stack([labels[:-1].ravel(), labels[1:].ravel()]),
        ],
        1,
    ).astype(np.int64)
    low, high = pairs.min(0), pairs.max(0)
    codes, counts = np.unique((low * 256 + high)[low != high], return_counts=True)
    return tuple((int(code) // 256, int(code) % 256, int(count)) for code, count in zip(codes, counts, strict=True))


def _doubt(wanted: Wanted, labels: NDArray[np.uint8]) -> Floats | None:
    """Return 1 less the kept probability of the class of each pixel, at the size of `labels`; None: not kept."""
    if not len(wanted.channels):
        return None
    file = wanted.mask.parent / place(wanted.mask.name, "probabilities")
    try:
        with np.load(file) as kept:
            steps, scale = kept["log_probs"], float(kept["steps"])
    except (OSError, ValueError, KeyError, zlib.error):
        return None
    if steps.ndim != 3 or len(steps) != len(wanted.channels):
        return None
    height, width = steps.shape[1:]
    at_work = resize_ids(labels, height, width)
    of_channel = wanted.numbers[wanted.channels]
    probability = np.zeros((height, width), np.float32)
    for channel, number in enumerate(of_channel):
        inside = at_work == number
        probability[inside] += np.exp(steps[channel][inside].astype(np.float32) / -scale)
    plane = Image.fromarray(np.clip(1 - probability, 0, 1))
    return np.asarray(plane.resize((labels.shape[1], labels.shape[0]), Image.Resampling.BILINEAR))


def _regions(labels: NDArray[np.uint8], pixels: NDArray[np.uint8], doubt: Floats | None) -> Regions:
    from scipy import ndimage

    height, width = labels.shape
    looks = _look_of_pixels(pixels, width, height)
    parts = np.zeros(labels.shape, np.int64)
    numbers: list[int] = []
    for number in np.unique(labels):
        if number != 255:
            found, count = ndimage.label(labels == number)
            parts[found > 0] = found[found > 0] + len(numbers)
            numbers += [int(number)] * count
    flat, count = parts.ravel(), len(numbers) + 1
    areas = np.bincount(flat, minlength=count)[1:]
    kept = _large_enough(np.array(numbers, np.int64), areas, labels.size)
    means = [np.bincount(flat, plane.ravel(), count)[1:][kept] / areas[kept] for plane in looks]
    spread = np.sqrt(np.maximum(means.pop() - means[0] ** 2, 0))
    boxes = ndimage.find_objects(parts)
    return Regions(
        numbers=np.array(numbers, np.uint8)[kept],
        areas=(areas[kept] / labels.size).astype(np.float32),
        boxes=np.array(
            [
                (
                    boxes[index][1].start / width,
                    boxes[index][0].start / height,
                    boxes[index][1].stop / width,
                    boxes[index][0].stop / height,
                )
                for index in kept
            ],
            np.float32,
        ).reshape(-1, 4),
        looks=np.stack([*means, spread], 1).astype(np.float32).reshape(-1, LOOKS),
        doubts=np.full(len(kept), np.nan, np.float32)
        if doubt is None
        else (np.bincount(flat, doubt.ravel(), count)[1:][kept] / areas[kept]).astype(np.float32),
    )


def _look_of_pixels(pixels: NDArray[np.uint8], width: int, height: int) -> list[Floats]:
    """Return planes (height, width): lightness, two colours, texture, height in the picture, squared lightness."""
    small = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
    red, green, blue = (np.asarray(small, np.float32) / 255).transpose(2, 0, 1)
    light = (red + green + blue) / 3
    texture = np.abs(np.diff(light, axis=0, prepend=light[:1])) + np.abs(np.diff(light, axis=1, prepend=light[:, :1]))
    rows = np.broadcast_to(np.linspace(0, 1, height, dtype=np.float32)[:, None], light.shape)
    return [light, red - green, (red + green) / 2 - blue, texture, rows, light * light]


def _large_enough(numbers: NDArray[np.int64], areas: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Return the indices of each class's largest regions."""
    kept: list[int] = []
    for number in np.unique(numbers):
        own = np.flatnonzero(numbers == number)
        own = own[np.argsort(-areas[own], kind="stable")][:_MOST]
        kept += [int(index) for rank, index in enumerate(own) if rank == 0 or areas[index] >= _LEAST * pixels]
    return np.array(sorted(kept), np.int64)
