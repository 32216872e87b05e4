"""How many classes, where nobody said: as many as come out the same whenever they are looked for.

For each K the codes are split into random halves, k-means is run on each, and all points are assigned by both. With a K
that fits the data both halves find the same classes; with too many, where the superfluous borders run is chance. The
share of points on which the two agree, after Hungarian matching, is the stability of K (Lange et al., 2004). The
suggestion is the largest K that is nearly as stable as the most stable one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from stego_cli.training.kmeans import cosine_kmeans

_POINTS = 4000  # of both halves together
_ROUNDS = 3
_RESTARTS = 4
_EVERY = 14  # up to here every K is tried, beyond it the even ones
_NEARLY = 0.05  # of stability that more classes may cost


@dataclass(frozen=True)
class Candidate:
    """A number of classes, how stable they are (0 to 1), and the mean cosine of points to their centroid."""

    classes: int
    stability: float
    cosine: float


def suggest_classes(codes: Tensor, least: int, most: int, generator: torch.Generator) -> tuple[int, list[Candidate]]:
    """Return the suggested number of classes and what it was chosen from, K ascending.

    Args:
        codes: (n, D), any number of points, of any length.
        least: the smallest K.
        most: the largest; no K beyond half the number of points is tried.
        generator: source of all randomness.
    """
    unit = F.normalize(codes[torch.randperm(len(codes), generator=generator)[:_POINTS]], dim=1)
    most = max(least, min(most, len(unit) // 2))
    tried = [
        classes for classes in range(least, most + 1) if classes <= _EVERY or classes in (most, 2 * (classes // 2))
    ]
    curve = [_candidate(unit, classes, generator) for classes in tried]
    best = max(candidate.stability for candidate in curve)
    return max(each.classes for each in curve if each.stability >= best - _NEARLY), curve


def _candidate(unit: Tensor, classes: int, generator: torch.Generator) -> Candidate:
    agreed, cosines = [], []
    for _ in range(_ROUNDS):
        order = torch.randperm(len(unit), generator=generator)
        halves = order.chunk(2) if len(unit) > 1 else (order, order)
        found = [cosine_kmeans(unit[half], classes, _RESTARTS, generator, iterations=30) for half in halves]
        first, second = (unit @ centroids.T for centroids in found)
        agreed.append(agreement(first.argmax(1), second.argmax(1), classes))
        cosines += [float(first.amax(1).mean()), float(second.amax(1).mean())]
    return Candidate(classes, round(float(np.mean(agreed)), 6), round(float(np.mean(cosines)), 6))


def agreement(first: Tensor, second: Tensor, classes: int) -> float:
    """Return the share of points (n,) that two clusterings put together, after matching their classes one to one."""
    counts = torch.bincount(first * classes + second, minlength=classes**2).reshape(classes, classes).numpy()
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / len(first))
