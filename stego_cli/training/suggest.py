"""A number of classes from the codes alone: a usual one, unless another K has clusters that are much more stable.

For each K the codes are split into random halves, k-means runs on each half, and both results assign all points. If K
fits the data, both halves give the same classes; if it is too large, the superfluous borders are random. The share of
points on which the two agree, after Hungarian matching, is the stability of K (Lange et al., 2004).

In photographs few K are much more stable than others, and which one is the most stable changes with the patches that
are drawn. On several kinds of photographs the most stable K gave worse classes than 8 for all of them. So the farther a
K is from 8, the more stable it has to be.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from stego_cli.model.provenance import ClassCandidate
from stego_cli.training.kmeans import cosine_kmeans

_POINTS = 4000  # of both halves together
_ROUNDS = 3
_RESTARTS = 4
_EVERY = 14  # up to here every K is tried, above it only even ones
_USUAL = 8
_COST = 0.2  # stability that twice as many classes as usual, or half as many, must have more


def suggest_classes(
    codes: Tensor, least: int, most: int, generator: torch.Generator
) -> tuple[int, list[ClassCandidate]]:
    """Return the suggested number of classes and the candidates that it was chosen from, K ascending.

    Args:
        codes: (n, D), n at least 1; they need not have unit length.
        least: the smallest K.
        most: the largest K; no K above half the number of points is tried.
        generator: source of all randomness.
    """
    unit = F.normalize(codes[torch.randperm(len(codes), generator=generator)[:_POINTS]], dim=1)
    most = max(least, min(most, len(unit) // 2))
    tried = [
        classes for classes in range(least, most + 1) if classes <= _EVERY or classes in (most, 2 * (classes // 2))
    ]
    curve = [_candidate(unit, classes, generator) for classes in tried]
    best = max(curve, key=lambda each: each["stability"] - _COST * abs(math.log2(each["classes"] / _USUAL)))
    return best["classes"], curve


def _candidate(unit: Tensor, classes: int, generator: torch.Generator) -> ClassCandidate:
    agreed, cosines = [], []
    for _ in range(_ROUNDS):
        order = torch.randperm(len(unit), generator=generator)
        halves = order.chunk(2) if len(unit) > 1 else (order, order)
        found = [cosine_kmeans(unit[half], classes, _RESTARTS, generator, iterations=30) for half in halves]
        first, second = (unit @ centroids.T for centroids in found)
        agreed.append(agreement(first.argmax(1), second.argmax(1), classes))
        cosines += [float(first.amax(1).mean()), float(second.amax(1).mean())]
    return {
        "classes": classes,
        "stability": round(float(np.mean(agreed)), 6),
        "cosine": round(float(np.mean(cosines)), 6),
    }


def agreement(first: Tensor, second: Tensor, classes: int) -> float:
    """Return the share (0 to 1) of points on which two clusterings agree, after one-to-one matching of their classes.

    Args:
        first: int64 (n,), a class for each point.
        second: likewise.
        classes: K.
    """
    counts = torch.bincount(first * classes + second, minlength=classes**2).reshape(classes, classes).numpy()
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / len(first))
