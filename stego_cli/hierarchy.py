"""Which clusters a coarser choice of classes would join: a list of pairs of clusters, those most alike first.

After the first m pairs, clusters that those pairs connect are one class, so N clusters become N - m classes. One list
therefore has every number of classes from N down to 1, and each is the one before with two of its classes joined.

Classes are joined by average linkage: of all classes, those two whose clusters' centroids have the largest mean cosine,
where each cluster counts by its size. This is a guess from the codes alone; what belongs together for a person is often
something else (`stego classes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Hierarchy = tuple[tuple[int, int], ...]


def hierarchy_of(centroids: NDArray[np.float32], sizes: Sequence[float] = ()) -> Hierarchy:
    """Return the order in which clusters are joined.

    Args:
        centroids: float32 (N, D); they need not have unit length.
        sizes: of the N clusters, in any unit; empty: all are of one size.

    Returns:
        N - 1 pairs; each class in them is named by the smallest number of its clusters, the smaller one first.
    """
    length = np.linalg.norm(centroids.astype(np.float64), axis=1, keepdims=True)
    unit = centroids / np.maximum(length, 1e-12)
    weights = np.maximum(np.asarray(sizes or [1.0] * len(unit), np.float64), 1e-12)
    # The mean cosine between the members of two classes is the product of their mean unit vectors.
    means, left, pairs = {number: unit[number] for number in range(len(unit))}, list(range(len(unit))), []
    while len(left) > 1:
        stacked = np.stack([means[number] for number in left])
        alike = np.triu(stacked @ stacked.T + 2, 1)  # below the diagonal 0, above it 1 to 3
        first, second = (left[int(place)] for place in np.unravel_index(alike.argmax(), alike.shape))
        total = weights[first] + weights[second]
        means[first] = (weights[first] * means[first] + weights[second] * means[second]) / total
        weights[first] = total
        left.remove(second)
        pairs.append((first, second))
    return tuple(pairs)


def joined_at(hierarchy: Iterable[tuple[int, int]], classes: int) -> list[int]:
    """Return the class of each of N clusters where there are to be `classes` of them.

    Args:
        hierarchy: of N clusters.
        classes: 1 to N; more than N is N, less than 1 is 1.

    Returns:
        N numbers; a class is named by the smallest number of its clusters.
    """
    pairs = list(hierarchy)
    clusters = len(pairs) + 1
    of_cluster = list(range(clusters))
    for one, other in pairs[: clusters - max(1, classes)] if classes < clusters else ():
        low, high = sorted((of_cluster[one], of_cluster[other]))
        of_cluster = [low if each == high else each for each in of_cluster]
    return of_cluster


def check_hierarchy(hierarchy: Sequence[tuple[int, int]], clusters: int) -> None:
    """Refuse a hierarchy that does not join that many clusters into one; an empty one is none, and fits all.

    Raises:
        ValueError: what is wrong.
    """
    if not hierarchy:
        return
    if len(hierarchy) != clusters - 1:
        raise ValueError(f"the hierarchy has {len(hierarchy)} pairs, and {clusters} clusters need {clusters - 1}")
    if any(not 0 <= number < clusters for pair in hierarchy for number in pair):
        raise ValueError(f"the hierarchy has numbers that are not 0 to {clusters - 1}")
    if any(joined_at(hierarchy, 1)):
        raise ValueError("the hierarchy does not connect all clusters")
