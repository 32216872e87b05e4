"""Cosine k-means with restarts: finds the cluster probe on the finished codes instead of training it with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.model.probes import ClusterProbe

_TOLERANCE = 1e-5


def cosine_kmeans(
    points: Tensor, clusters: int, restarts: int, generator: torch.Generator, iterations: int = 100
) -> Tensor:
    """Return centroids that maximise the mean cosine of points to their nearest centroid.

    Args:
        points: (n, D) float32, n at least 1; they need not have unit length.
        clusters: K; with fewer than K distinct points some centroids are equal.
        restarts: independent k-means++ starts; the best result is returned.
        generator: source of all randomness.
        iterations: at most this many updates a start.

    Returns:
        (K, D) float32, unit length, ordered by the number of points, the largest cluster first.
    """
    unit = F.normalize(points, dim=1)
    best_score, best = -torch.inf, unit[:1].expand(clusters, -1)
    for _ in range(max(1, restarts)):
        centroids = _plus_plus(unit, clusters, generator)
        for _ in range(iterations):
            nearest = (unit @ centroids.T).argmax(1)  # (n,)
            sums = torch.zeros_like(centroids).index_add_(0, nearest, unit)
            # A centroid without points stays where it is.
            empty = torch.bincount(nearest, minlength=clusters) == 0
            moved = torch.where(empty[:, None], centroids, F.normalize(sums, dim=1))
            shift = (moved - centroids).abs().max()
            centroids = moved
            if shift < _TOLERANCE:
                break
        score = float((unit @ centroids.T).amax(1).mean())
        if score > best_score:
            best_score, best = score, centroids
    return ClusterProbe(best).by_frequency(unit).centroids


def _plus_plus(unit: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Draw K starting points, each with probability proportional to its cosine distance to those drawn before."""
    first = torch.randint(len(unit), (1,), generator=generator)
    chosen = [int(first)]
    distance = 1 - unit @ unit[chosen[0]]
    for _ in range(clusters - 1):
        weights = distance.clamp(min=0) + 1e-12  # never all zero, even if all points are equal
        chosen.append(int(torch.multinomial(weights, 1, generator=generator)))
        distance = torch.minimum(distance, 1 - unit @ unit[chosen[-1]])
    return unit[chosen]
