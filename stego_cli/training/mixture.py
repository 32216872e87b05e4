"""Classes that need not be of one size: finer clusters joined by their likeness, then settled as a mixture.

K-means gives clusters of about one size. It cuts what covers much of the photographs into pieces, and joins small
things with others. Among more clusters than classes the pieces of a large thing are alike, and are joined first.

The joined classes then settle as a mixture of von Mises-Fisher distributions of one concentration, whose weights are
their shares (hard assignments): what lies between two classes goes to the more frequent one. The lower the
concentration, the stronger that is. It is the lowest of some at which no class nearly vanishes.

Where one thing covers more than half of the photographs, as soil does in pictures of a field, its pieces are not alike
in the codes: training tells apart what is frequent. They are in the backbone's features, which then decide instead.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.hierarchy import hierarchy_of, joined_at
from stego_cli.model.probes import ClusterProbe
from stego_cli.training.kmeans import cosine_kmeans

_LOWEST, _HIGHEST, _FACTOR = 4.0, 40.0, 1.25  # concentrations that are tried
_LEAST = 0.1  # of an equal share of the points, that a class keeps
_ROUNDS = 20
_GROUND = 0.5  # a class with a larger share of the points is a ground that all photographs have


def joined_classes(
    points: Tensor,
    features: Tensor,
    classes: int,
    finer: int,
    restarts: int,
    temperature: float,
    generator: torch.Generator,
) -> ClusterProbe:
    """Return the cluster probe of classes of their own sizes.

    A small change of the clusters may change what is joined. So each start is joined and settled by itself, and the
    result that agrees most with the others is returned. Where the features join more than half to one class, in the
    mean of the starts, they decide what is joined, and nothing settles.

    Args:
        points: (n, D) float32, n at least 1; they need not have unit length.
        features: (n, C) float32, the backbone's, of the same patches.
        classes: K.
        finer: clusters for each class; 1: plain k-means, all classes alike.
        restarts: independent starts.
        temperature: of the probe.
        generator: source of all randomness.

    Returns:
        Classes ordered by the number of points, the largest first.
    """
    unit = F.normalize(points, dim=1)
    if finer == 1:
        return ClusterProbe(cosine_kmeans(unit, classes, restarts, generator), temperature)
    features = F.normalize(features, dim=1)
    starts = [cosine_kmeans(unit, finer * classes, 1, generator) for _ in range(max(1, restarts))]
    found = [_joined_by(features, unit, start, classes) for start in starts]
    if sum(float(shares.max()) for _, shares in found) / len(found) <= _GROUND:
        found = [_settled(unit, *_joined_by(unit, unit, start, classes)) for start in starts]
    probes = [ClusterProbe(centroids, temperature, shares.log()) for centroids, shares in found]
    labels = [probe.nearest(unit) for probe in probes]
    agreement = [sum(_adjusted_rand(one, other, classes) for other in labels) for one in labels]
    return probes[agreement.index(max(agreement))].by_frequency(unit)


def moved_to(probe: ClusterProbe, codes: Tensor, others: Tensor) -> ClusterProbe:
    """Return the probe of the same classes on other codes.

    Args:
        probe: of `codes`.
        codes: (n, D), of some patches.
        others: (n, D), other codes of the same patches.

    Returns:
        A class's centroid is the mean direction in `others` of its patches; the most frequent class there comes first.
    """
    centroids, _ = _means(probe.nearest(codes), F.normalize(others, dim=1), probe.centroids)
    return ClusterProbe(centroids, probe.temperature, probe.log_prior).by_frequency(others)


def _joined_by(by: Tensor, unit: Tensor, clusters: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the mean directions (K, D) and shares (K,) of the classes that clusters are joined to.

    Args:
        by: (n, C), of unit length; clusters whose points are alike in these are joined.
        unit: (n, D), the points.
        clusters: (N, D), their centroids.
        classes: K.
    """
    nearest = (unit @ clusters.T).argmax(1)
    means, shares = _means(nearest, by, by.new_zeros(len(clusters), by.shape[1]))
    joined = joined_at(hierarchy_of(means.numpy(), shares.tolist()), classes)
    names = sorted(set(joined))  # each that of a cluster in it
    of_cluster = torch.tensor([names.index(name) for name in joined])
    return _means(of_cluster[nearest], unit, clusters[names])


def _settled(unit: Tensor, centroids: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return centroids (K, D) and shares (K,) that a mixture settles at, from those that it begins with."""
    concentration = _LOWEST
    while True:
        settled, prior = centroids, shares
        labels: Tensor | None = None
        for _ in range(_ROUNDS):
            before, labels = labels, (concentration * unit @ settled.T + prior.log()).argmax(1)
            if before is not None and torch.equal(before, labels):
                break
            settled, prior = _means(labels, unit, settled)
        if prior.min() * len(prior) > _LEAST or concentration >= _HIGHEST:
            return settled, prior
        concentration *= _FACTOR


def _means(labels: Tensor, unit: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean direction (K, D) of each class's points, and its share (K,), above 0.

    One without points stays where it was `before`.
    """
    sizes = torch.bincount(labels, minlength=len(before)).to(unit.dtype)
    return F.normalize((1e-6 * before).index_add_(0, labels, unit), dim=1), (sizes + 1) / (sizes + 1).sum()


def _adjusted_rand(one: Tensor, other: Tensor, classes: int) -> float:
    """Return the adjusted Rand index of two labellings, int64 (n,): 1 if they are the same, about 0 by chance."""
    counts = torch.bincount(one * classes + other, minlength=classes**2).reshape(classes, classes).double()
    together, first, second = (float(part.square().sum()) for part in (counts, counts.sum(1), counts.sum(0)))
    chance, most = first * second / len(one) ** 2, (first + second) / 2
    return (together - chance) / (most - chance) if most > chance else 1.0
