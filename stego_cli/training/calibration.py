"""What the loss takes from the data: the space in which F is computed, and the shifts b.

Each published shift was tuned for one backbone; with another the codes collapse. Here b is a quantile of the centred F
of each batch, so that the share of attracted pairs is the same whatever the distribution of the backbone's cosines. F
is computed on whitened principal components: raw ViT features share a few strong directions that make all cosines
similar.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stego_cli.training.ranks import ALONE, Ranks

_QUANTILE_SAMPLE = 20_000  # correspondences of a batch; the error is far below the noise between batches


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
    """Fit a whitening to `sample` (n, C) float32; at most `components` components with variance are kept."""
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
    """Return the shift b (paper, equation 2), a scalar, as the `quantile` (0 to 1) of F.

    Args:
        features: F, (N, P, Q); with several processes, this process's rows of it.
        quantile: the share of F below b. It is estimated from a random sample if F is large.
        generator: source of the sample.
        ranks: the processes; all get the same b.
        count: rows of F in all processes together; None: N.
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
