"""Clusters move until the classes that they are joined to are those of a few labelled photographs.

Names and joins leave each border where it was found without labels. So after the vote (`naming`) the centroids move,
and the clusters get a prior, or another one. What is minimised is the cross-entropy of the classes' probabilities, each
the sum of its clusters', on the labelled cells, each class weighted by its share of them to the power of -`LIFT`. A
pull back to where each centroid was found, `PULL` times the squared distance, keeps clusters that the labels do not
show near there (docs/log/naming.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from stego_cli.gallery.centroids import Clusters
from stego_cli.gallery.naming import LIFT
from stego_cli.gallery.survey import Floats
from stego_cli.images.ids import Ids
from stego_cli.model.probes import ClusterProbe
from stego_cli.scoring.confusion import Grid

PULL, _PULL_OF_PRIOR = 0.005, 0.0005  # as measured: docs/log/naming.md
_STEPS, _RATE = 150, 0.02  # of Adam; 60 steps are about as good
_MOST_CELLS = 20_000
_LEAST = 1e-9  # share, probability or length


@dataclass
class LabelledCells:
    """The labelled cells of photographs.

    Attributes:
        codes: of each photograph's cells, float32 (n, D).
        pixels: labelled ones in each cell by class, int64 (n, classes).
    """

    codes: list[Floats] = field(default_factory=list)
    pixels: list[NDArray[np.int64]] = field(default_factory=list)

    def add(self, codes: Floats, ids: Ids, grid: Grid) -> None:
        """Add a photograph: the codes of its cells, (h, w, D), and its labels after the remapping, (H, W)."""
        pixels = pixels_of_cells(ids, grid, codes.shape[:2])
        labelled = pixels.any(1)
        self.codes.append(codes.reshape(-1, codes.shape[2])[labelled])
        self.pixels.append(pixels[labelled])

    def fitted(self, clusters: Clusters, of_cluster: Sequence[int | None]) -> Clusters:
        """Return the clusters after they moved; each column is as long as before. Without labelled cells they stay.

        Args:
            clusters: where they were found.
            of_cluster: K classes, one for each cluster; None: it is of no class.
        """
        if not any(map(len, self.codes)):
            return clusters
        codes, pixels = np.concatenate(self.codes), np.concatenate(self.pixels)
        chosen = np.linspace(0, len(codes) - 1, min(len(codes), _MOST_CELLS)).round().astype(int)
        unit = F.normalize(torch.from_numpy(codes[chosen]), dim=1)
        weights = torch.from_numpy(_weights(pixels[chosen]))  # (n, classes)
        joins = torch.zeros(len(of_cluster), weights.shape[1])
        for cluster, label in enumerate(of_cluster):
            if label is not None:
                joins[cluster, label] = 1
        lengths = torch.from_numpy(np.linalg.norm(clusters.columns, axis=0)).clamp(min=_LEAST)[:, None]
        found = torch.from_numpy(clusters.columns.T.copy()) / lengths
        centroids, shift = found.clone().requires_grad_(), torch.zeros(len(found), requires_grad=True)
        prior = torch.from_numpy(clusters.log_prior)
        optimiser = torch.optim.Adam([centroids, shift], lr=_RATE)
        for _ in range(_STEPS):
            scores = unit @ (F.normalize(centroids, dim=1) * lengths).T + prior + shift
            log_probs = (scores.softmax(1) @ joins).clamp(min=_LEAST).log()
            pull = PULL * (centroids - found).square().sum() + _PULL_OF_PRIOR * shift.square().sum()
            loss = pull - (weights * log_probs).sum()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        columns = (F.normalize(centroids.detach(), dim=1) * lengths).T.contiguous()
        return Clusters(columns.numpy(), (prior + shift.detach()).numpy())

    def fitted_probe(self, probe: ClusterProbe, of_cluster: Sequence[int | None]) -> ClusterProbe:
        """Return the cluster probe after its clusters moved; as `fitted`."""
        after = self.fitted(clusters_of_probe(probe), of_cluster)
        centroids = F.normalize(torch.from_numpy(after.columns.T.copy()), dim=1)
        return ClusterProbe(centroids, probe.temperature, torch.from_numpy(after.log_prior))


def clusters_of_probe(probe: ClusterProbe) -> Clusters:
    """Return the clusters of a probe as a model's graph has them."""
    columns = probe.temperature * F.normalize(probe.centroids, dim=1).T.contiguous()
    log_prior = columns.new_zeros(len(probe)) if probe.log_prior is None else probe.log_prior
    return Clusters(columns.numpy(), log_prior.numpy())


def _weights(pixels: NDArray[np.int64]) -> Floats:
    """Return the weight of each class in each cell, (n, classes), adding up to 1 in all."""
    shares = pixels / pixels.sum(1, keepdims=True)
    of_class = shares.mean(0)
    weights = shares * np.where(of_class > 0, np.maximum(of_class, _LEAST) ** -LIFT, 0)
    result: Floats = (weights / weights.sum()).astype(np.float32)
    return result


def pixels_of_cells(ids: Ids, grid: Grid, cells: tuple[int, int]) -> NDArray[np.int64]:
    """Return labelled pixels by cell and class, int64 (h * w, classes), of label values (H, W) after the remapping."""
    (height, width), (rows, columns) = ids.shape, cells
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    flat = (row[:, None] * columns + column) * grid.classes + np.minimum(ids, grid.classes - 1)
    inside = grid.counted(ids)
    flat = flat.ravel() if inside is None else flat[inside]
    counts: NDArray[np.int64] = np.bincount(flat, minlength=rows * columns * grid.classes).reshape(-1, grid.classes)
    return counts
