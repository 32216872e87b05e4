"""Which class each cluster stands for, from counts alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stego_cli.scoring.confusion import Counts

UNMATCHED = -1


def assign(counts: Counts, match: str) -> NDArray[np.int64]:
    """Match clusters to classes.

    Args:
        counts: int64 (classes n, clusters K), pixels of each class in each cluster.
        match: "hungarian": one cluster a class, so that most pixels agree; "identity": cluster i is class i;
            "majority": each cluster is the class that most of its pixels have.

    Returns:
        int64 (K,): the class of each cluster, or -1. With hungarian matching and K > n, K - n clusters are unmatched;
        with majority matching, those without any pixel.
    """
    classes, clusters = counts.shape
    assignment = np.full(clusters, UNMATCHED, dtype=np.int64)
    if match == "identity":
        both = min(classes, clusters)
        assignment[:both] = np.arange(both)
    elif match == "majority":
        used = counts.any(axis=0)
        assignment[used] = counts.argmax(axis=0)[used]
    else:
        from scipy.optimize import linear_sum_assignment

        # Clusters along the first axis, as in the original, so that of equally good matchings the same one is found.
        chosen, matched = linear_sum_assignment(counts.T, maximize=True)
        assignment[chosen] = matched
    return assignment


def matched_confusion(counts: Counts, assignment: NDArray[np.int64]) -> tuple[Counts, NDArray[np.int64]]:
    """Merge the clusters of each class.

    Args:
        counts: int64 (n, K).
        assignment: int64 (K,), class of each cluster or -1.

    Returns:
        int64 (n, n), pixels by class and predicted class; and int64 (n,), pixels of each class whose cluster is
        matched to none. Together they are all of `counts`.
    """
    confusion = np.zeros((len(counts), len(counts)), dtype=np.int64)
    matched = assignment != UNMATCHED
    np.add.at(confusion.T, assignment[matched], counts.T[matched])
    return confusion, counts[:, ~matched].sum(axis=1)
