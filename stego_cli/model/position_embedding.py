"""Resampling a grid of position embeddings to another size, as a product with small matrices.

Published code does this in three ways (see `Backbone.positions`). As matrices of weights they are one formula, give the
same result in torch and in ONNX Runtime, and keep height and width dynamic in the exported graph.
"""

from __future__ import annotations

import torch
from torch import Tensor


def resample(grid: Tensor, height: int, width: int, style: str) -> Tensor:
    """Resample position embeddings (h, w, C), float32, to (height, width, C).

    Args:
        grid: the table.
        height: wanted rows; like `width`, symbolic while a graph is exported.
        width: wanted columns.
        style: "bicubic" (kernel with a = -0.75, borders repeated), "bicubic+0.1" (the same, with the scale of a grid
            0.1 larger), or "antialias" (a = -0.5, kernel widened when shrinking, weights beyond the border dropped and
            the rest normalised).
    """
    rows, columns = _places(height, grid), _places(width, grid)
    if style == "antialias":
        down, across = _antialiased(grid.shape[0], rows), _antialiased(grid.shape[1], columns)
    else:
        extra = torch.zeros(())
        if style == "bicubic+0.1":
            # At the table's own size the published code skips resampling, and with it the 0.1.
            extra = 0.1 * ((rows[-1] + 1 != grid.shape[0]) | (columns[-1] + 1 != grid.shape[1]))
        down, across = _bicubic(grid.shape[0], rows, extra), _bicubic(grid.shape[1], columns, extra)
    grid = (down @ grid.flatten(1)).reshape(height, *grid.shape[1:])  # (height, w, C)
    return across @ grid  # (height, width, C)


def _places(count: int, like: Tensor) -> Tensor:
    """Return 0 to count - 1 as float32. Its last element plus one is `count` as a tensor, even if symbolic."""
    return torch.arange(count, dtype=torch.float32, device=like.device)


def _bicubic(n_in: int, places: Tensor, extra: Tensor) -> Tensor:
    """Return the weights (n_out, n_in) of plain bicubic interpolation, with the scale of a size n_out + extra."""
    table = torch.arange(n_in, dtype=torch.float32, device=places.device)
    source = (places + 0.5) * (n_in / (places[-1] + 1 + extra)) - 0.5
    left = source.floor()
    weights = torch.zeros_like(source[:, None] * table[None])
    for tap in (-1, 0, 1, 2):
        index = (left + tap).clamp(0, n_in - 1)
        weights = weights + _cubic((left + tap - source).abs(), -0.75)[:, None] * (index[:, None] == table[None])
    return weights


def _antialiased(n_in: int, places: Tensor) -> Tensor:
    """Return the weights (n_out, n_in) of bicubic interpolation with a kernel as wide as an output cell."""
    table = torch.arange(n_in, dtype=torch.float32, device=places.device)
    scale = n_in / (places[-1] + 1)
    centre = (places + 0.5) * scale
    weights = _cubic((table[None] + 0.5 - centre[:, None]).abs() / scale.clamp(min=1.0), -0.5)
    return weights / weights.sum(1, keepdim=True)


def _cubic(distance: Tensor, a: float) -> Tensor:
    """Keys' cubic kernel at |distance|."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, torch.zeros_like(far)))
