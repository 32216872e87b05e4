"""Metrics from a confusion matrix whose clusters are matched already.

All take `confusion`, int64 (n, n), pixels by class (row) and predicted class (column), and `unmatched`, int64 (n,),
pixels of each class that were predicted as no class, which count as wrong. Results are percent; NaN where there are no
pixels to compute them from.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stego_cli.scoring.confusion import Counts

PixelCounts = NDArray[np.int64]  # (n,), by class
Percents = NDArray[np.float64]  # (n,)


def accuracy(confusion: Counts, unmatched: PixelCounts) -> float:
    """Return the share of pixels that are predicted as their class: trace over sum."""
    total = int(confusion.sum()) + int(unmatched.sum())
    return 100.0 * int(np.trace(confusion)) / total if total else math.nan


def class_iou(confusion: Counts, unmatched: PixelCounts) -> Percents:
    """Return the intersection over union of each class, TP / (TP + FP + FN); NaN without a pixel on either side."""
    hits = np.diagonal(confusion)
    union = confusion.sum(axis=1) + unmatched + confusion.sum(axis=0) - hits
    shares: Percents = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
    return 100.0 * shares


def mean_iou(ious: Percents) -> float:
    """Return the mean over the classes whose IoU is not NaN."""
    known = ious[~np.isnan(ious)]
    return float(known.mean()) if known.size else math.nan


def frequency_weighted_iou(ious: Percents, pixels: PixelCounts) -> float:
    """Return the mean IoU of the classes, each weighted by its number of labelled pixels, int64 (n,)."""
    used = pixels > 0
    return float(np.average(ious[used], weights=pixels[used])) if used.any() else math.nan
