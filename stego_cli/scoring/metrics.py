"""Figures of merit from a confusion matrix whose clusters are matched already.

All take `confusion`, int64 (n, n), pixels by class (row) and predicted class (column), and `unmatched`, int64 (n,),
pixels of each class that were predicted as no class at all, which are wrong. Results are percent; what is undefined
for want of pixels is NaN.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stego_cli.scoring.confusion import Counts

Totals = NDArray[np.int64]  # (n,)
Percents = NDArray[np.float64]  # (n,)


def accuracy(confusion: Counts, unmatched: Totals) -> float:
    """Return the share of pixels whose class is right: trace over sum."""
    total = int(confusion.sum()) + int(unmatched.sum())
    return 100.0 * int(np.trace(confusion)) / total if total else math.nan


def class_iou(confusion: Counts, unmatched: Totals) -> Percents:
    """Return the intersection over union of each class; NaN for a class that neither side uses."""
    hits = np.diagonal(confusion)
    union = confusion.sum(axis=1) + unmatched + confusion.sum(axis=0) - hits
    shares: Percents = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    return 100.0 * shares


def mean_iou(ious: Percents) -> float:
    """Return the mean over the classes that have one."""
    known = ious[~np.isnan(ious)]
    return float(known.mean()) if known.size else math.nan


def frequency_weighted_iou(ious: Percents, pixels: Totals) -> float:
    """Return the mean of the classes' figures, each weighted by its number of labelled pixels, int64 (n,)."""
    used = pixels > 0
    return float(np.average(ious[used], weights=pixels[used])) if used.any() else math.nan
