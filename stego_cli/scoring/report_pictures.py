"""Small pictures of the best and the worst photographs, for the report: photograph, prediction, truth."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode_whole
from stego_cli.images.discover import DECODED
from stego_cli.images.ids import Ids, resize_ids
from stego_cli.page import Picture
from stego_cli.palette import Colour
from stego_cli.reading import Reading
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.matching import UNMATCHED
from stego_cli.scoring.result import Extreme, Score
from stego_cli.scoring.tally import read_side
from stego_cli.text import shown

UNMATCHED_COLOUR: Colour = (255, 0, 255)  # predicted as a cluster without a class
NO_CLASS_COLOUR: Colour = (255, 255, 255)  # label of no class
_SIDE = 360  # longer side of a picture, pixels


@dataclass(frozen=True)
class ShownPhoto:
    """One photograph of the report: its name, its metrics in percent, and its pictures."""

    name: str
    miou: float
    accuracy: float
    pictures: list[Picture]


@dataclass(frozen=True)
class ShownPhotos:
    """The best photographs, best first, and the worst, worst first."""

    best: list[ShownPhoto]
    worst: list[ShownPhoto]


def draw_extremes(
    score: Score, comparison: Comparison, photos: Path | None, reading: Reading = Reading()
) -> ShownPhotos:
    """Return the best and the worst photographs of a score with their pictures.

    Args:
        score: with the extremes.
        comparison: that it is of.
        photos: folder of the photographs; None: show masks and labels alone.
        reading: how photographs that are not RGB of 8 bits become that.

    A file that was deleted or damaged since it was scored leaves out its picture.
    """

    def photo_of(name: str) -> list[Picture]:
        return [] if photos is None else [_photograph(photos, reading, name)]

    return ShownPhotos(
        *([_drawn(one, score, comparison, photo_of) for one in those] for those in (score.best, score.worst))
    )


def _drawn(one: Extreme, score: Score, comparison: Comparison, photo_of: Callable[[str], list[Picture]]) -> ShownPhoto:
    pictures = photo_of(one.pair.name)
    try:
        labels = read_side(str(comparison.gt), one.pair.label, "label", comparison.colours)
        preds = read_side(str(comparison.pred), one.pair.pred, "mask", None)
    except PhotoError:
        return ShownPhoto(shown(one.pair.name), one.miou, one.accuracy, pictures)
    height, width = _small(*labels.shape)
    classes = len(score.table.names)
    grid = comparison.grid
    labels = grid.remapped(resize_ids(labels, height, width))
    if grid.ignore is not None and grid.ignore < classes:
        labels = np.where(labels == grid.ignore, classes, labels)
    colours = np.array([*score.table.colours, NO_CLASS_COLOUR], dtype=np.uint8)
    truth = colours[np.minimum(labels, classes)]
    # One more entry, for all clusters without a counted pixel.
    assignment = np.append(score.assignment, UNMATCHED)
    matched = assignment[np.minimum(resize_ids(preds, height, width), len(score.assignment))]
    colours[classes] = UNMATCHED_COLOUR
    guess = colours[np.where(matched == UNMATCHED, classes, matched)]
    pictures += [Picture("prediction", "image/png", _png(guess)), Picture("truth", "image/png", _png(truth))]
    return ShownPhoto(shown(one.pair.name), one.miou, one.accuracy, pictures)


def _photograph(photos: Path, reading: Reading, name: str) -> Picture:
    """Return the photograph whose mask is `name`.png: `name` with a suffix, or `name` itself if two share a stem."""
    exact = photos / name
    folder = exact.parent
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if file.suffix.lower() in DECODED and (file.name == exact.name or file.stem == exact.name):
            try:
                rgb = decode_whole(file, reading)
            except PhotoError:
                break
            height, width = _small(rgb.height, rgb.width)
            stream = io.BytesIO()
            rgb.resize((width, height), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=82)
            return Picture("photograph", "image/jpeg", stream.getvalue())
    return Picture("photograph not found", "", b"")


def _small(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _png(rgb: NDArray[np.uint8] | Ids) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(rgb).quantize(256, method=Image.Quantize.FASTOCTREE).save(stream, "PNG")
    return stream.getvalue()
