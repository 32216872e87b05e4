"""Cosine k-means with restarts: finds the cluster probe on the finished codes instead of training it with them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.hierarchy import hierarchy_of, joined_at

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
    return best[cluster_shares(unit, best).argsort(descending=True, stable=True)].contiguous()


def joined_kmeans(points: Tensor, classes: int, finer: int, restarts: int, generator: torch.Generator) -> Tensor:
    """Return centroids of classes that need not be of one size: those of finer clusters, joined by their likeness.

    K-means gives clusters of about one size. It cuts what covers much of the photographs into pieces, and joins small
    things with others. Among more clusters than classes the pieces of a large thing are alike, and are joined first.

    A small change of the clusters may change what is joined. So each start is joined by itself, and the result that
    agrees most with the others is returned.

    Args:
        points: (n, D) float32, n at least 1; they need not have unit length.
        classes: K.
        finer: clusters for each class; 1: plain k-means.
        restarts: independent starts.
        generator: source of all randomness.

    Returns:
        (K, D) float32, unit length, ordered by the number of points nearest to each, the largest first.
    """
    if finer == 1:
        return cosine_kmeans(points, classes, restarts, generator)
    unit = F.normalize(points, dim=1)
    results = [_joined(unit, classes, finer * classes, generator) for _ in range(max(1, restarts))]
    labels = [(unit @ centroids.T).argmax(1) for centroids in results]
    agreement = [sum(_adjusted_rand(one, other, classes) for other in labels) for one in labels]
    centroids = results[agreement.index(max(agreement))]
    return centroids[cluster_shares(unit, centroids).argsort(descending=True, stable=True)].contiguous()


def _joined(unit: Tensor, classes: int, clusters: int, generator: torch.Generator) -> Tensor:
    """Return the mean directions (K, D) of the classes that one start of k-means is joined to."""
    found = cosine_kmeans(unit, clusters, 1, generator)
    nearest = (unit @ found.T).argmax(1)
    joined = joined_at(hierarchy_of(found.numpy(), torch.bincount(nearest, minlength=clusters).tolist()), classes)
    sums = (1e-6 * found).index_add_(0, torch.tensor(joined)[nearest], unit)  # one without points stays where it is
    return F.normalize(sums[sorted(set(joined))], dim=1)


def _adjusted_rand(one: Tensor, other: Tensor, classes: int) -> float:
    """Return the adjusted Rand index of two labellings, int64 (n,): 1 if they are the same, about 0 by chance."""
    counts = torch.bincount(one * classes + other, minlength=classes**2).reshape(classes, classes).double()
    together, first, second = (float(part.square().sum()) for part in (counts, counts.sum(1), counts.sum(0)))
    chance, most = first * second / len(one) ** 2, (first + second) / 2
    return (together - chance) / (most - chance) if most > chance else 1.0


def cluster_shares(points: Tensor, centroids: Tensor) -> Tensor:
    """Return the share of points (n, D) nearest to each centroid (K, D), float64 (K,), adding up to 1."""
    nearest = (points @ F.normalize(centroids, dim=1).T).argmax(1)
    return torch.bincount(nearest, minlength=len(centroids)).double() / len(points)


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
