"""What worker processes do: read pairs, count, and hand back sums.

A chunk of pairs goes out as a few hundred bytes of names and comes back as one small matrix, so that nothing as large
as a picture passes between processes.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.images.ids import LARGEST_ID, Ids, read_ids, resize_ids
from stego_cli.images.label_files import ColourClasses, read_label
from stego_cli.processes import begin_worker
from stego_cli.scoring.borders import border_counts
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.confusion import Counts, changes_across, count, values_left_out
from stego_cli.scoring.mask_pairs import MaskPair

_LARGEST_KEPT = 16 << 20  # bytes
_ASPECT = 0.05  # by which the shape of a mask may differ from that of its label


@dataclass
class Sums:
    """What some pairs add up to.

    Attributes:
        counts: int64 (classes + 1, clusters + 1), pixels by class and cluster.
        borders: int64 (4,), see `borders.border_counts`; None if borders were not counted.
        images: pairs that were counted; `resized`: those whose mask had another size than the label; `void`: those
            whose label has no pixel of any class.
        left_out: label values that are of no class, as they are in the files, with their numbers of pixels.
        failures: relative path and reason of pairs that could not be counted.
        by_pair: for each pair its name, the indices of the cells of `counts` (flattened) that are not zero, and their
            values; empty if these were not asked for.
    """

    counts: Counts
    borders: NDArray[np.int64] | None = None
    images: int = 0
    resized: int = 0
    void: int = 0
    left_out: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    by_pair: list[tuple[MaskPair, list[int], list[int]]] = field(default_factory=list)

    def add(self, other: Sums) -> None:
        """Add the sums of other pairs, without their counts by pair."""
        self.counts += other.counts
        if other.borders is not None:
            self.borders = other.borders if self.borders is None else self.borders + other.borders
        self.images += other.images
        self.resized += other.resized
        self.void += other.void
        self.left_out.update(other.left_out)
        self.failures += other.failures


def tally(pairs: list[MaskPair], comparison: Comparison) -> Sums:
    """Read and count pairs; one that cannot be counted becomes a failure."""
    sums = Sums(comparison.grid.empty(), np.zeros(4, dtype=np.int64) if comparison.boundary else None)
    roots = str(comparison.pred), str(comparison.gt)
    for pair in pairs:
        try:
            _add_pair(sums, pair, comparison, roots)
        except PhotoError as error:
            sums.failures.append((pair.label or pair.pred or pair.name, error.message))
    return sums


def _add_pair(sums: Sums, pair: MaskPair, comparison: Comparison, roots: tuple[str, str]) -> None:
    if pair.problem:
        raise PhotoError(pair.problem)
    grid = comparison.grid
    given = read_side(roots[1], pair.label, "label", comparison.colours)
    preds = read_side(roots[0], pair.pred, "mask", None)
    if preds.shape != given.shape:
        sizes = [f"{width} x {height}" for height, width in (preds.shape, given.shape)]
        if comparison.strict:
            raise PhotoError(f"the mask is {sizes[0]} pixels, the label {sizes[1]}")
        if not same_aspect(preds.shape, given.shape):
            raise PhotoError(f"the mask is {sizes[0]} pixels, the label {sizes[1]}, another shape")
        preds = resize_ids(preds, *given.shape)
        sums.resized += 1
    labels = grid.remapped(given)
    of_labels, of_preds = changes_across(labels), changes_across(preds)
    counts = count(labels, preds, grid, of_labels | of_preds)
    sums.counts += counts
    sums.images += 1
    sums.void += not counts[:-1].any()
    if counts[-1].any():
        sums.left_out.update(values_left_out(given, labels, grid, of_labels))
    if sums.borders is not None:
        sums.borders += border_counts(((preds, of_preds), (labels, of_labels)), grid.counted(labels))
    if comparison.extremes:
        cells = np.flatnonzero(counts)
        sums.by_pair.append((pair, cells.tolist(), counts.ravel()[cells].tolist()))


def same_aspect(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Return whether two shapes (H, W) can be sizes of one picture: up to rounding to whole patches, and not turned."""
    if one == other[::-1] and one != other:
        return False
    ratio = one[0] * other[1] / (one[1] * other[0])
    # One pixel more or less changes the ratio of a small picture by more.
    slack = max(_ASPECT, 2 / min(*one, *other))
    return 1 / (1 + slack) <= ratio <= 1 + slack


def read_side(root: str, path: str, what: str, colours: ColourClasses | None) -> Ids:
    """Read a mask or a label, uint8 or uint16 (H, W).

    Args:
        root: folder; `path`: below it.
        what: "mask" or "label", for the message.
        colours: the class of each colour, if the file is a colour picture; other colours become 65535.

    Raises:
        PhotoError: it cannot be read.
    """
    file = os.path.join(root, path)  # noqa: PTH118  (a Path for each file costs more than opening it)
    try:
        if colours is None and file.endswith(".png"):
            return read_ids(file)
        label = read_label(file)
        return label.ids() if colours is None or label.picture is None else colours.ids(label.colours(), LARGEST_ID)
    except PhotoError as error:
        raise PhotoError(f"{what}: {error.message}") from error


def keep_memory() -> None:
    """Let this process keep the memory of one picture for the next.

    By default the C library of Linux returns arrays of this size to the system when they are freed, and getting them
    again page by page takes as long as the counting itself. It stops doing so for sizes up to the largest that it has
    seen freed. This array is never written to, so it takes no memory; on other systems it has no effect.
    """
    np.empty(_LARGEST_KEPT, dtype=np.uint8)


_comparison: Comparison | None = None  # of this worker process, set once when it starts


def begin(comparison: Comparison) -> None:
    """Prepare a worker process."""
    global _comparison
    _comparison = comparison
    keep_memory()
    begin_worker()


def tally_here(pairs: list[MaskPair]) -> Sums:
    """Do `tally` in a worker process for the comparison that it began with."""
    if _comparison is None:
        raise RuntimeError("begin() has not been called in this process")
    return tally(pairs, _comparison)
