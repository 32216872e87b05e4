"""Histograms of correspondences over -1 to 1."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BINS = 80
_SAMPLE = 50_000  # values that a histogram counts at most

Histograms = dict[tuple[str, str], Tensor]  # ("F" or "S", term): int64 (BINS,), counts from -1 to 1


def histogram(values: Tensor) -> Tensor:
    """Return how many of `values` lie in each of 80 equal bins from -1 to 1, int64 (BINS,), on the CPU.

    Of more than 50,000 values an even sample is counted. Values beyond the ends count in the outermost bins.
    """
    flat = values.detach().flatten()
    flat = flat[:: max(1, flat.numel() // _SAMPLE)].cpu().float()
    return torch.histc(flat.clamp(-1, 1), BINS, -1, 1).long()


def bin_edges() -> NDArray[np.float64]:
    """Return the borders of the bins, float64 (BINS + 1,)."""
    return np.linspace(-1, 1, BINS + 1)


def bin_centres() -> NDArray[np.float64]:
    """Return the centres of the bins, float64 (BINS,)."""
    edges = bin_edges()
    return (edges[:-1] + edges[1:]) / 2
