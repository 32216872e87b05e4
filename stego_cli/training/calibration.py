"""What the loss must know about the data: the space in which F is computed, and the shifts b.

The published shifts belong to one backbone each; on another the codes collapse. Here b is a quantile of the centred
F of each batch, which holds the share of attracted pairs fixed whatever the backbone's cosines look like. F itself is
computed on whitened principal components: raw ViT features share a few strong directions that make all cosines alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stego_cli.training.ranks import ALONE, Ranks

_QUANTILE_SAMPLE = 20_000  # of a batch's correspondences; its error is far below the batch's own noise


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) @ projection, after which the components have unit variance and no correlation.

    Attributes:
        mean: (C,) float32.
        projection: (C, k) float32.
    """

    mean: Tensor
    projection: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Return whitened features (..., k) of features (..., C)."""
        return (features - self.mean) @ self.projection


def whitening(sample: Tensor, components: int) -> Whitening:
    """Fit a whitening to `sample` (n, C) float32, keeping at most `components` components and none without variance."""
    mean = sample.mean(0)
    centred = sample - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / max(1, len(sample) - 1))  # ascending
    kept = min(components, int((variances > 1e-6 * variances[-1]).sum()))
    if variances[-1] <= 1e-12:  # all features are equal: nothing to whiten
        return Whitening(mean, torch.eye(sample.shape[1])[:, :components])
    projection = directions[:, -kept:].flip(1) / variances[-kept:].flip(0).sqrt()
    return Whitening(mean, projection)


def calibrated_b(
    features: Tensor, quantile: float, generator: torch.Generator, ranks: Ranks = ALONE, count: int | None = None
) -> Tensor:
    """Return b as the `quantile` of F (N, P, Q), estimated from a random sample if there are many.

    With several processes, `features` are this one's rows of the `count` rows of F, and all get the same b.
    """
    values = features.flatten()
    count = len(features) if count is None else count
    row = features.shape[1] * features.shape[2]
    total = count * row
    chosen = None
    if total > _QUANTILE_SAMPLE:
        chosen = torch.randint(total, (_QUANTILE_SAMPLE,), generator=generator).to(values.device)
    if ranks.count > 1:
        chosen = torch.arange(total, device=values.device) if chosen is None else chosen
        place = chosen - ranks.rows(count).start * row
        here = (place >= 0) & (place < len(values))
        values = ranks.sum(torch.zeros(len(chosen), device=values.device).masked_scatter(here, values[place[here]]))
    elif chosen is not None:
        values = values[chosen]
    return torch.quantile(values, quantile)
