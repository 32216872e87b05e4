"""Resampling a grid of position embeddings to another size, as a product with small matrices.

Written as matrices of weights, the three ways in which published code does it (see `Backbone.positions`) are one
formula, give the same result in torch and in ONNX Runtime, and keep height and width dynamic in the exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic kernel at |distance|."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))


def resampling_matrix(n_in: int, n_out: int, style: str) -> Tensor:
    """Return the weights (n_out, n_in), float32, that resample a row of `n_in` values to `n_out`.

    Args:
        n_in: size of the table.
        n_out: wanted size; may be symbolic while a graph is exported.
        style: "bicubic" or "bicubic+0.1" (kernel with a = -0.75, borders repeated), or "antialias" (a = -0.5, kernel
            widened when shrinking, weights beyond the border dropped and the rest normalised).
    """
    at = torch.arange(n_out, dtype=torch.float32)  # (n_out,)
    table = torch.arange(n_in, dtype=torch.float32)  # (n_in,)
    count = at[-1] + 1  # n_out as a tensor, so that a symbolic size stays one
    if style == "antialias":
        scale = n_in / count
        centre = (at + 0.5) * scale
        distance = (table[None] + 0.5 - centre[:, None]).abs() / scale.clamp(min=1.0)
        weights = _cubic(distance, -0.5)
        return weights / weights.sum(1, keepdim=True)
    # At the table's own size the published code skips resampling, and with it the 0.1.
    extra = 0.1 * (count != n_in) if style == "bicubic+0.1" else 0.0
    source = (at + 0.5) * (n_in / (count + extra)) - 0.5
    left = source.floor()
    weights = torch.zeros_like(source[:, None] * table[None])
    for tap in (-1, 0, 1, 2):
        index = (left + tap).clamp(0, n_in - 1)
        weights = weights + _cubic((left + tap - source).abs(), -0.75)[:, None] * (index[:, None] == table[None])
    return weights


def resample(grid: Tensor, height: int, width: int, style: str) -> Tensor:
    """Resample position embeddings (h, w, C) to (height, width, C)."""
    rows = resampling_matrix(grid.shape[0], height, style).to(grid)
    columns = resampling_matrix(grid.shape[1], width, style).to(grid)
    grid = (rows @ grid.flatten(1)).reshape(height, *grid.shape[1:])  # (height, w, C)
    return columns @ grid  # (height, width, C)
