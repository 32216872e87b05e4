"""A score: all metrics of a set of masks, and their JSON."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import ClassTable, numbered
from stego_cli.scoring.borders import f_score
from stego_cli.scoring.confusion import Counts
from stego_cli.scoring.information import adjusted_mutual_information
from stego_cli.scoring.mask_pairs import MaskPair
from stego_cli.scoring.matching import UNMATCHED, assign, matched_confusion
from stego_cli.scoring.metrics import Percents, PixelCounts, accuracy, class_iou, frequency_weighted_iou, mean_iou
from stego_cli.scoring.tally import Sums
from stego_cli.settings import Match, ScoreMode
from stego_cli.text import shown


@dataclass(frozen=True)
class Extreme:
    """The metrics of one photograph, with the matching of the whole set: percent, NaN where undefined."""

    pair: MaskPair
    miou: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """How well masks agree with labels. Percent, except `ami`; NaN where there are no pixels to measure.

    Attributes:
        table: names and colours of the n classes.
        match, mode: as in the settings.
        assignment: int64 (K,), class of each cluster, -1 for none.
        confusion: int64 (n, n), pixels by class and predicted class.
        unmatched: int64 (n,), pixels of each class that were predicted as a cluster without a class, and count as
            wrong; `dropped`: such pixels that mode "stego" leaves out of all counts.
        ious: float64 (n,).
        miou, accuracy, fwiou: mean, pixel accuracy, frequency-weighted IoU.
        boundary_f: boundary F-score; None if it was not asked for.
        ami: adjusted mutual information of classes and clusters, at most 1.
        images, resized, void: pairs counted; those whose mask was resized; those without a pixel of any class.
        ignored_pixels: pixels whose label is of no class; `left_out`: these by label value.
        failures: relative path and reason of pairs that could not be counted.
        best, worst: photographs by their own mIoU, best first and worst first.
    """

    table: ClassTable
    match: Match
    mode: ScoreMode
    assignment: NDArray[np.int64]
    confusion: Counts
    unmatched: PixelCounts
    dropped: int
    ious: Percents
    miou: float
    accuracy: float
    fwiou: float
    boundary_f: float | None
    ami: float
    images: int
    resized: int
    void: int
    ignored_pixels: int
    left_out: dict[int, int]
    failures: list[tuple[str, str]]
    best: list[Extreme] = field(default_factory=list)
    worst: list[Extreme] = field(default_factory=list)

    @property
    def pixels(self) -> PixelCounts:
        """Number of labelled pixels of each class that count, int64 (n,)."""
        pixels: PixelCounts = self.confusion.sum(axis=1) + self.unmatched
        return pixels

    @property
    def unmatched_pixels(self) -> int:
        """Number of pixels of some class that were predicted as a cluster without a class."""
        return int(self.unmatched.sum()) + self.dropped


def make_score(sums: Sums, table: ClassTable | None, match: Match, mode: ScoreMode) -> Score:
    """Compute all metrics from the counts of a whole set.

    Args:
        sums: the counts.
        table: the classes; None: as many as the labels use.
        match: how clusters are matched to classes (`matching.assign`).
        mode: "honest": predictions without a class count as wrong; "stego": they are left out, as in the original.
    """
    table = table or numbered(_classes_used(sums.counts))
    classes = len(table.names)
    counts, beyond = sums.counts[:classes, :-1], sums.counts[:classes, -1]
    used = np.flatnonzero(counts.any(axis=0))
    clusters = max(classes, int(used[-1]) + 1 if used.size else 0)
    counts = counts[:, :clusters]
    dropped = 0
    if mode == "stego":
        # The original has columns for extra clusters and never counts a pixel in them: they stay, empty.
        dropped = int(counts[:, classes:].sum()) + int(beyond.sum())
        counts = np.where(np.arange(clusters) < classes, counts, 0)
        beyond = np.zeros_like(beyond)
    # Where each class gets one cluster, predictions that are no class number take no part: they are out of range.
    competing = classes if match == "hungarian" and mode == "honest" else clusters
    assignment = np.full(clusters, UNMATCHED, dtype=np.int64)
    assignment[:competing] = assign(counts[:, :competing], match)
    confusion, unmatched = matched_confusion(counts, assignment)
    unmatched = unmatched + beyond
    if mode == "stego":
        assignment[classes:] = UNMATCHED  # an empty column may have been matched to a class that was left over
    ious = class_iou(confusion, unmatched)
    return Score(
        table=table,
        match=match,
        mode=mode,
        assignment=assignment,
        confusion=confusion,
        unmatched=unmatched,
        dropped=dropped,
        ious=ious,
        miou=mean_iou(ious),
        accuracy=accuracy(confusion, unmatched),
        fwiou=frequency_weighted_iou(ious, confusion.sum(axis=1) + unmatched),
        boundary_f=None if sums.borders is None else f_score(sums.borders),
        ami=adjusted_mutual_information(np.column_stack([counts, beyond])),
        images=sums.images,
        resized=sums.resized,
        void=sums.void,
        ignored_pixels=int(sums.counts[classes:].sum()),
        left_out=dict(sorted(sums.left_out.items())),
        failures=sums.failures,
    )


OURS = re.compile(rb'\s*\{\s*"miou":')  # what the JSON text of a score begins with


def as_json(score: Score) -> str:
    """Return the score as JSON text; what is undefined is null. Its keys stay: docs/reference/scores.md."""
    pixels = score.pixels
    content = {
        "miou": _number(score.miou),
        "accuracy": _number(score.accuracy),
        "fwiou": _number(score.fwiou),
        "boundary_f": None if score.boundary_f is None else _number(score.boundary_f),
        "ami": _number(score.ami),
        "per_class": [
            {"id": index, "name": name, "iou": _number(float(iou)), "pixels": int(count), "unmatched": int(wrong)}
            for index, (name, iou, count, wrong) in enumerate(
                zip(score.table.names, score.ious, pixels, score.unmatched, strict=True)
            )
        ],
        "confusion": score.confusion.tolist(),
        "assignment": [None if index == UNMATCHED else index for index in score.assignment.tolist()],
        "images": score.images,
        "pixels": int(pixels.sum()),
        "ignored_pixels": score.ignored_pixels,
        "ignored_values": {str(value): count for value, count in score.left_out.items()},
        "unmatched_pixels": score.unmatched_pixels,
        "failed": len(score.failures),
        "failures": [{"path": shown(path), "reason": shown(reason)} for path, reason in score.failures],
        "resized": score.resized,
        "void_images": score.void,
        "match": score.match,
        "mode": score.mode,
    }
    return json.dumps(content, indent=1) + "\n"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _classes_used(counts: Counts) -> int:
    used = np.flatnonzero(counts[:-1].any(axis=1))
    return int(used[-1]) + 1 if used.size else 1
