"""Counts of (class, cluster) over pixels, from which nearly all metrics follow.

Masks are made of areas: along a row the same two numbers are repeated for many pixels. So the places where either
number changes are found first, which only compares bytes, and then the runs between them are counted, each with its
length. Where the picture is so noisy that runs are short, pixels are counted one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stego_cli.images.ids import Ids

Counts = NDArray[np.int64]  # (classes + 1, clusters + 1)
Mask = NDArray[np.bool_]  # (H, W)

# Without a number of classes any 8-bit label value may be a class; the largest one found decides afterwards.
UNKNOWN_CLASSES = 256
_RUNS_WORTHWHILE = 4  # pixels a run, on average; with shorter runs counting pixels is faster


@dataclass(frozen=True)
class Grid:
    """The shape of the counts, and which label value falls on which row.

    Attributes:
        classes: number of classes; label value i below it is class i.
        ignore: label value that is of no class even if it is below `classes`; None: there is none.
        table: uint8 or uint16 (65536,), what each label value is changed to before it is counted; None: no change.
    """

    classes: int
    ignore: int | None
    table: Ids | None

    @property
    def clusters(self) -> int:
        """Number of clusters counted separately; the last column takes all larger ones."""
        return max(self.classes, 256)

    def empty(self) -> Counts:
        """Return counts of nothing."""
        return np.zeros((self.classes + 1, self.clusters + 1), dtype=np.int64)

    def remapped(self, labels: Ids) -> Ids:
        """Return `labels` after the remapping, if there is one."""
        return labels if self.table is None else self.table[labels]

    def counted(self, labels: Ids) -> Mask | None:
        """Return which pixels of remapped `labels` are of a class, bool (H, W); None: all of them."""
        inside: Mask = labels < self.classes
        if self.ignore is not None and self.ignore < self.classes:
            inside &= labels != self.ignore
        return None if inside.all() else inside


def make_grid(classes: int, ignore: int | None, remap: dict[int, int] | None) -> Grid:
    """Return the grid for `classes` classes.

    Args:
        classes: number of classes, at least 1.
        ignore: label value that is of no class; None: there is none. It has no effect with a remapping.
        remap: label value (0 to 65535) to class; values that are not listed, and targets outside 0 to classes - 1,
            are of no class. None: label values are classes.
    """
    if remap is None:
        return Grid(classes, ignore, None)
    table = np.full(1 << 16, classes, dtype=np.uint8 if classes < 256 else np.uint16)
    for value, target in remap.items():
        table[value] = target if 0 <= target < classes else classes
    return Grid(classes, None, table)


def changes_across(ids: Ids) -> Mask:
    """Return where a pixel differs from its left neighbour, bool (H, W); column 0 is False."""
    # All pixels as one row, and then column 0 corrected: with a slice of each row numpy is several times slower.
    flat = ids.ravel()
    changes = np.empty(flat.size, dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=changes[1:])
    square = changes.reshape(ids.shape)
    square[:, 0] = False
    return square


def count(labels: Ids, preds: Ids, grid: Grid, changes: Mask) -> Counts:
    """Count the pixels of one pair.

    Args:
        labels: uint8 or uint16 (H, W), label values after the remapping.
        preds: uint8 or uint16 (H, W), clusters.
        grid: shape of the counts.
        changes: bool (H, W), where labels or predictions differ from their left neighbour; it is overwritten.

    Returns:
        int64 (classes + 1, clusters + 1), whose sum is H times W.
    """
    changes[:, 0] = True  # a row always begins a run
    starts = np.flatnonzero(changes)
    columns = grid.clusters + 1
    size = (grid.classes + 1) * columns
    if starts.size * _RUNS_WORTHWHILE > labels.size:
        cells = _cells(labels.ravel(), preds.ravel(), grid)
        return np.bincount(cells, minlength=size).reshape(-1, columns)
    lengths = np.empty(starts.size, dtype=np.float64)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1], casting="unsafe")
    lengths[-1:] = labels.size - starts[-1:]
    cells = _cells(labels.ravel()[starts], preds.ravel()[starts], grid)
    # Sums of whole numbers below 2**53 are exact in float64.
    return np.bincount(cells, weights=lengths, minlength=size).astype(np.int64).reshape(-1, columns)


def values_left_out(given: Ids, labels: Ids, grid: Grid, changes: Mask) -> dict[int, int]:
    """Return the label values that are of no class, each with its number of pixels.

    Args:
        given: uint8 or uint16 (H, W), label values in the file.
        labels: the same after the remapping.
        grid: decides which are of no class.
        changes: bool (H, W), where `labels` differ from their left neighbour.
    """
    changes = changes.copy() if grid.table is None else changes_across(given)
    changes[:, 0] = True
    starts = np.flatnonzero(changes)
    lengths = np.diff(starts, append=labels.size)
    values, ids = given.ravel()[starts], labels.ravel()[starts]
    outside = ids >= grid.classes
    if grid.ignore is not None:
        outside |= ids == grid.ignore
    sums = np.bincount(values[outside], weights=lengths[outside])
    used = np.flatnonzero(sums)
    return dict(zip(used.tolist(), sums[used].astype(np.int64).tolist(), strict=True))


def _cells(labels: Ids, preds: Ids, grid: Grid) -> NDArray[np.int64]:
    cells = np.minimum(labels, grid.classes, dtype=np.int64)
    if grid.ignore is not None:
        cells[labels == grid.ignore] = grid.classes
    cells *= grid.clusters + 1
    cells += preds if preds.dtype == np.uint8 else np.minimum(preds, grid.clusters)
    return cells
