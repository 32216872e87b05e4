"""What worker processes do: read pairs, count, and hand back sums.

A chunk of pairs goes out as a few hundred bytes of names and comes back as one small matrix, so that nothing that is
as large as a picture ever passes between processes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.images.ids import Ids, read_ids, resize_ids
from stego_cli.processes import begin_worker
from stego_cli.scoring.borders import border_counts
from stego_cli.scoring.confusion import Counts, Grid, changes_across, count
from stego_cli.scoring.mask_pairs import Pair

_LARGEST_KEPT = 16 << 20  # bytes


@dataclass(frozen=True)
class Plan:
    """What a worker needs to know besides the names."""

    pred: str
    gt: str
    grid: Grid
    strict: bool
    boundary: bool
    apart: bool  # also hand back the counts of each pair by itself


@dataclass
class Sums:
    """What some pairs come to.

    Attributes:
        counts: int64 (classes + 1, clusters + 1), pixels by class and cluster.
        borders: int64 (4,), see `borders.border_counts`.
        images: pairs that were counted; `resized`: those whose mask had another size than the label; `void`: those
            whose label has no pixel of any class.
        failures: relative path and reason of pairs that could not be counted.
        apart: of each pair its name, the cells of `counts` (flattened) that are not zero, and their values.
    """

    counts: Counts
    borders: NDArray[np.int64] = field(default_factory=lambda: np.zeros(4, dtype=np.int64))
    images: int = 0
    resized: int = 0
    void: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    apart: list[tuple[Pair, list[int], list[int]]] = field(default_factory=list)

    def add(self, other: Sums) -> None:
        """Add what others came to, without what they hold apart."""
        self.counts += other.counts
        self.borders += other.borders
        self.images += other.images
        self.resized += other.resized
        self.void += other.void
        self.failures += other.failures


def tally(pairs: list[Pair], plan: Plan) -> Sums:
    """Read and count `pairs`; one that cannot be counted becomes a failure."""
    sums = Sums(plan.grid.empty())
    for pair in pairs:
        try:
            _add_pair(sums, pair, plan)
        except PhotoError as error:
            sums.failures.append((pair.label or pair.pred or pair.name, error.message))
    return sums


def _add_pair(sums: Sums, pair: Pair, plan: Plan) -> None:
    if pair.problem:
        raise PhotoError(pair.problem)
    labels = _read(plan.gt, pair.label, "label")
    preds = _read(plan.pred, pair.pred, "mask")
    if preds.shape != labels.shape:
        if plan.strict:
            sizes = [f"{width} x {height}" for height, width in (preds.shape, labels.shape)]
            raise PhotoError(f"the mask is {sizes[0]} pixels, the label {sizes[1]}")
        preds = resize_ids(preds, *labels.shape)
        sums.resized += 1
    labels = plan.grid.remapped(labels)
    of_labels, of_preds = changes_across(labels), changes_across(preds)
    counts = count(labels, preds, plan.grid, of_labels | of_preds)
    sums.counts += counts
    sums.images += 1
    sums.void += not counts[:-1].any()
    if plan.boundary:
        sums.borders += border_counts(((preds, of_preds), (labels, of_labels)), plan.grid.counted(labels))
    if plan.apart:
        cells = np.flatnonzero(counts)
        sums.apart.append((pair, cells.tolist(), counts.ravel()[cells].tolist()))


def _read(root: str, path: str, what: str) -> Ids:
    try:
        return read_ids(os.path.join(root, path))  # noqa: PTH118  (a Path for each file costs more than opening it)
    except PhotoError as error:
        raise PhotoError(f"{what}: {error.message}") from error


def keep_memory() -> None:
    """Let this process keep the memory of one picture for the next.

    By default the C library of Linux hands arrays of this size back to the system when they are freed, and takes as
    long again to get them anew, page by page, as the counting itself. It stops doing so for sizes up to the largest
    that it has seen freed. This one is never touched, so it takes no memory; elsewhere it does nothing.
    """
    np.empty(_LARGEST_KEPT, dtype=np.uint8)


_plan: Plan | None = None  # of this worker process, set once when it starts


def begin(plan: Plan) -> None:
    """Prepare a worker process."""
    global _plan
    _plan = plan
    keep_memory()
    begin_worker()


def tally_here(pairs: list[Pair]) -> Sums:
    """Do `tally` in a worker process by the plan it began with."""
    if _plan is None:
        raise RuntimeError("begin() has not been called in this process")
    return tally(pairs, _plan)
