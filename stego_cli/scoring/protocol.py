"""How a photograph and its label become what is scored: the paper's protocol, and that of whole pictures.

`stego` is the published evaluation: photograph and label with their shorter side brought to 320 by the nearest pixel,
the centre cut out, and everything scored at that size. `full` scores the mask that `stego segment` would write, at the
photograph's own size. Both refine the same log-probabilities with the same CRF.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.images.decode import Rgb, decode, decode_whole, nearest_square
from stego_cli.images.ids import Ids, read_ids, resize_ids
from stego_cli.images.masks import labels_at
from stego_cli.inference.predict import Refiner
from stego_cli.inference.session import LogProbs
from stego_cli.model.backbones import IMAGENET_MEAN, IMAGENET_STD
from stego_cli.reading import Reading
from stego_cli.scoring.confusion import Counts, Grid, changes_across, count
from stego_cli.settings import Probe, Protocol

Variant = tuple[Probe, bool]  # whose classes, and whether after the CRF
SIDE = 320  # pixels, of the paper's centre crop


@dataclass(frozen=True)
class EvaluationInput:
    """One photograph and its label, ready for the model.

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
class CountTask:
    """A photograph after inference, with all that a worker needs to count it."""

    name: str
    given: EvaluationInput
    log_probs: dict[Probe, LogProbs]  # (K, H, W)
    grid: Grid
    refiner: Refiner | None


@dataclass
class PhotoCounts:
    """Counts of one photograph by variant, or why there are none."""

    name: str
    counts: dict[Variant, Counts] = field(default_factory=dict)
    problem: str = ""


def crop_side(patch: int) -> int:
    """Return the side of the centre crop: 320, or the nearest multiple of the patch."""
    return max(1, round(SIDE / patch)) * patch


def load_input(
    photo: Path, label: Path, protocol: Protocol, res: int, patch: int, reading: Reading = Reading()
) -> EvaluationInput:
    """Load one photograph and its label.

    Args:
        photo: the photograph.
        label: a PNG of ids.
        protocol: see above.
        res: shorter side in the protocol `full`, pixels.
        patch: of the model.
        reading: how pictures that are not RGB of 8 bits become that.

    Raises:
        PhotoError: one of them cannot be used.
    """
    ids = read_ids(label)
    if protocol == "full":
        decoded = decode(photo, res, patch, reading)
        width, height = decoded.size
        return EvaluationInput(decoded.pixels, decoded.pixels, resize_ids(ids, height, width), decoded.size)
    side = crop_side(patch)
    pixels = np.array(nearest_square(decode_whole(photo, reading), side))
    labels = np.asarray(nearest_square(Image.fromarray(ids), side))
    return EvaluationInput(pixels, there_and_back(pixels), labels, (side, side))


def there_and_back(pixels: Rgb) -> Rgb:
    """Return the picture that the original shows its CRF: normalised, brought back, and cut down to whole steps.

    In float32 that makes about a third of the values one step darker, which moves one border pixel in a thousand.
    """
    values = np.arange(256, dtype=np.float32)[:, None] / np.float32(255)
    mean, deviation = np.array(IMAGENET_MEAN, np.float32), np.array(IMAGENET_STD, np.float32)
    table = (((values - mean) / deviation * deviation + mean) * np.float32(255)).astype(np.uint8)  # (256, 3)
    shown: Rgb = np.take_along_axis(table, pixels.reshape(-1, 3).astype(np.intp), axis=0).reshape(pixels.shape)
    return shown


def count_task(task: CountTask) -> PhotoCounts:
    """Count every variant of one photograph: each probe, before and (with a refiner) after the CRF."""
    try:
        return _counted(task)
    except (ValueError, MemoryError) as error:
        return PhotoCounts(task.name, problem=str(error) or "not enough memory")


def _counted(task: CountTask) -> PhotoCounts:
    counted, given = PhotoCounts(task.name), task.given
    labels = task.grid.remapped(given.labels)
    of_labels = changes_across(labels)
    for probe, log_probs in task.log_probs.items():
        variants = {False: log_probs}
        if task.refiner is not None:
            variants[True] = task.refiner(given.guide, log_probs)
        for refined, values in variants.items():
            preds = labels_at(values, given.size)
            counted.counts[probe, refined] = count(labels, preds, task.grid, of_labels | changes_across(preds))
    return counted
