"""Which class each cluster is, decided by a few labelled photographs.

A cluster is what its labelled pixels are. Two things are added to the majority of these:

- A few photographs show little of many clusters, and of some nothing. So the shares of classes in a cluster are drawn
  towards those of the clusters that are most alike (the next larger group in the hierarchy, which is drawn to the next
  in turn), as if it had `BELIEF` more pixels with these shares. A cluster without a labelled pixel gets them alone.
- Large classes have pixels in every cluster, and small ones a majority in few. So a share is divided by the class's
  share of all labelled pixels to the power of `LIFT`: 0 is the majority, 1 takes what is most over-represented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_edits import ClassEdit, ClassEdits, default_name
from stego_cli.classes import ClassTable
from stego_cli.hierarchy import Hierarchy

BELIEF = 0.003  # of all labelled pixels; both as measured: docs/log/naming.md
LIFT = 0.6
SURE = 0.5  # certainty from which a name needs no mark
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Vote:
    """What labelled photographs say about one cluster.

    Attributes:
        cluster: its number.
        label: the class that it gets; None: nothing is known of it.
        pixels: labelled ones in it.
        shares: of its labelled pixels, by class, the largest first; empty without pixels.
        certainty: 0 to 1, the labelled pixels of that class as a share of all its labelled pixels and of those that
            clusters alike add; 0 without pixels.
    """

    cluster: int
    label: int | None
    pixels: int
    shares: tuple[tuple[int, float], ...]
    certainty: float

    @property
    def sure(self) -> bool:
        """Whether the photographs themselves show what it is."""
        return self.certainty >= SURE


def votes_of(counts: NDArray[np.int64], hierarchy: Hierarchy, belief: float = BELIEF, lift: float = LIFT) -> list[Vote]:
    """Return the class of each cluster.

    Args:
        counts: int64 (classes, N), labelled pixels by class and cluster, not all 0.
        hierarchy: of the N clusters; empty: clusters without labelled pixels stay without a class.
        belief: weight of clusters alike, in shares of all labelled pixels; above 0.
        lift: 0 to 1, how far small classes are favoured.
    """
    total = counts.sum()
    of_class: Shares = counts.sum(1) / total
    belief *= float(total)
    shares = _drawn_together(counts, hierarchy, belief) if hierarchy else counts / np.maximum(counts.sum(0), 1)
    weights = np.where(of_class > 0, np.maximum(of_class, 1e-12) ** -lift, 0)
    votes = []
    for cluster in range(counts.shape[1]):
        seen, known = counts[:, cluster], shares[:, cluster]
        label = int((known * weights).argmax()) if known.any() else None
        order = [index for index in np.argsort(-seen, kind="stable").tolist() if seen[index]]
        votes.append(
            Vote(
                cluster,
                label,
                int(seen.sum()),
                tuple((index, float(seen[index] / seen.sum())) for index in order),
                0.0 if label is None else float(seen[label] / (seen.sum() + belief)),
            )
        )
    return votes


def _drawn_together(counts: NDArray[np.int64], hierarchy: Hierarchy, belief: float) -> Shares:
    """Return shares of classes in each cluster, (classes, N), each drawn towards those of the group around it."""
    clusters = counts.shape[1]
    inside = [counts[:, cluster].astype(np.float64) for cluster in range(clusters)]
    above = [-1] * (2 * clusters - 1)
    group = {cluster: cluster for cluster in range(clusters)}  # the outermost so far, by the cluster that names it
    for one, other in hierarchy:
        low, high = sorted((_name(group, one, above), _name(group, other, above)))
        above[low] = above[high] = len(inside)
        group[one] = group[other] = len(inside)
        inside.append(inside[low] + inside[high])
    shares = [np.zeros(len(counts))] * len(inside)
    shares[-1] = inside[-1] / inside[-1].sum()
    for index in reversed(range(len(inside) - 1)):
        own, around = inside[index], shares[above[index]]
        shares[index] = (own + belief * around) / (own.sum() + belief)
    return np.stack(shares[:clusters], 1)


def _name(group: dict[int, int], cluster: int, above: Sequence[int]) -> int:
    """Return the outermost group around a cluster so far."""
    index = group[cluster]
    while above[index] >= 0:
        index = above[index]
    return index


def named_edits(votes: Sequence[Vote], table: ClassTable, before: ClassEdits) -> ClassEdits:
    """Return the edits that join and name clusters: masks then have the labels' own numbers.

    A cluster of no class gets a number that no class has.

    Args:
        votes: one for each class that was found or split.
        table: the labels' classes.
        before: the edits so far, of which the splits alone stay.

    Raises:
        EditError: all clusters are of one class, or names are not different.
    """
    members: dict[int, list[int]] = {}
    for vote in votes:
        if vote.label is not None:
            members.setdefault(vote.label, []).append(vote.cluster)
    said = {
        first: ClassEdit(table.names[label], table.colours[label], tuple(others), label)
        for label, (first, *others) in members.items()
    }
    without = [vote.cluster for vote in votes if vote.label is None]
    for at, cluster in enumerate(without):
        taken = default_name(cluster) in table.names
        said[cluster] = ClassEdit(f"unknown {cluster}" if taken else None, value=len(table.names) + at)
    return ClassEdits(before.found, said, splits=before.splits)
