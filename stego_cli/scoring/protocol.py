"""How a photograph and its label become what is scored: the paper's protocol, and that of whole pictures.

`stego` is the published evaluation: photograph and label with their shorter side brought to 320 by the nearest pixel,
the centre cut out, and everything scored at that size. `full` scores the mask that `stego segment` would write, at the
photograph's own size. Both refine the same log-probabilities with the same CRF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.crf import refine
from stego_cli.images.decode import Rgb, decode, decode_whole, nearest_square
from stego_cli.images.ids import Ids, read_ids, resize_ids
from stego_cli.images.masks import labels_at
from stego_cli.model.backbones import IMAGENET_MEAN, IMAGENET_STD
from stego_cli.scoring.confusion import Counts, Grid, changes_across, count
from stego_cli.settings import CrfSettings

PROTOCOLS = ("stego", "full")
SIDE = 320  # pixels, of the paper's centre crop


@dataclass(frozen=True)
class Example:
    """One photograph ready for the model.

    Attributes:
        pixels: uint8 (H, W, 3).
        guide: uint8 (H, W, 3), what the CRF is shown of it.
        labels: (h, w), ids as in the file; (H, W) in the protocol `stego`.
        size: width and height at which predictions are compared.
    """

    pixels: Rgb
    guide: Rgb
    labels: Ids
    size: tuple[int, int]


@dataclass(frozen=True)
class Task:
    """An example after inference, with all that a worker needs to count it."""

    name: str
    example: Example
    log_probs: dict[str, NDArray[np.float32]]  # by probe, (K, H, W)
    grid: Grid
    crf: CrfSettings | None
    crf_engine: str = "auto"


@dataclass
class Counted:
    """Counts of one photograph by variant, (probe, whether after the CRF), or why there are none."""

    name: str
    counts: dict[tuple[str, bool], Counts] = field(default_factory=dict)
    problem: str = ""


def crop_side(patch: int) -> int:
    """Return the side of the centre crop: 320, or the nearest multiple of the patch."""
    return max(1, round(SIDE / patch)) * patch


def load_example(photo: Path, label: Path, protocol: str, res: int, patch: int) -> Example:
    """Load one photograph and its label.

    Raises:
        PhotoError: one of them cannot be used.
    """
    ids = read_ids(label)
    if protocol == "full":
        decoded = decode(photo, res, patch)
        width, height = decoded.size
        return Example(decoded.pixels, decoded.pixels, resize_ids(ids, height, width), decoded.size)
    side = crop_side(patch)
    pixels = np.array(nearest_square(decode_whole(photo), side))
    labels = np.asarray(nearest_square(Image.fromarray(ids), side))
    return Example(pixels, there_and_back(pixels), labels, (side, side))


def there_and_back(pixels: Rgb) -> Rgb:
    """Return the picture that the original shows its CRF: normalised, brought back, and cut down to whole steps.

    In float32 that makes about a third of the values one step darker, which moves one border pixel in a thousand.
    """
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    table = (((values - mean) / deviation * deviation + mean) * np.float32(255)).astype(np.uint8)  # (256, 3)
    shown: Rgb = np.take_along_axis(table, pixels.reshape(-1, 3).astype(np.intp), axis=0).reshape(pixels.shape)
    return shown


def count_task(task: Task) -> Counted:
    """Count every variant of one photograph: each probe, before and (with `crf`) after the CRF."""
    try:
        return _counted(task)
    except (ValueError, MemoryError) as error:
        return Counted(task.name, problem=str(error) or "not enough memory")


def _counted(task: Task) -> Counted:
    counted = Counted(task.name)
    labels = task.grid.remapped(task.example.labels)
    of_labels = changes_across(labels)
    for probe, log_probs in task.log_probs.items():
        variants = {False: log_probs}
        if task.crf is not None:
            variants[True] = refine(task.example.guide, log_probs, task.crf, task.crf_engine)
        for refined, values in variants.items():
            preds = labels_at(values, task.example.size)
            counted.counts[probe, refined] = count(labels, preds, task.grid, of_labels | changes_across(preds))
    return counted
