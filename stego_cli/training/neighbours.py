"""Nearest neighbours of whole photographs: where a batch finds its positive pairs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 1024  # rows of similarities held at once


def nearest_neighbours(pooled: Tensor, count: int) -> Tensor:
    """Return the `count` nearest other photographs of each, by cosine of their mean features.

    Args:
        pooled: (N, C), mean features.
        count: neighbours wanted; at most N - 1 are there.

    Returns:
        int64 (N, min(count, N - 1)), nearest first; a lone photograph is its own neighbour, (1, 1). A photograph is
        left out by its index, not by rank, so that exact copies of it stay its neighbours.
    """
    total = len(pooled)
    if total == 1:
        return torch.zeros(1, 1, dtype=torch.int64)
    unit = F.normalize(pooled.float(), dim=1)
    rows = []
    for start in range(0, total, _BLOCK):
        similarity = unit[start : start + _BLOCK] @ unit.T  # (block, N)
        own = torch.arange(len(similarity))
        similarity[own, own + start] = -torch.inf
        rows.append(similarity.topk(min(count, total - 1), dim=1).indices)
    return torch.cat(rows)
