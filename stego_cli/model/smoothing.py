"""Codes averaged with those around them, as far as they are alike.

A patch's code varies with its texture and with what happens to lie in it. Its neighbours mostly show the same thing; a
neighbour that shows another one has another code, and counts little. So codes vary less within a thing, and things keep
their borders (docs/log/quality.md). It is a bilateral filter on the cosines of codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFTS = tuple((down, across) for down in range(3) for across in range(3))  # of a padded grid: a cell and the 8 around


def smoothed(codes: Tensor, sharpness: float) -> Tensor:
    """Return the mean of each cell's code and the eight around it, weighted by their likeness.

    Args:
        codes: (B, h, w, D) float32.
        sharpness: the weight of a neighbour is exp(sharpness * (cosine - 1)); 0: the codes are returned as they are.

    Returns:
        (B, h, w, D). Beyond the border the outermost cells are repeated.
    """
    if not sharpness:
        return codes
    height, width = codes.shape[1:3]
    padded = F.pad(codes.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
    units = F.normalize(padded, dim=3)
    own = units[:, 1:-1, 1:-1]
    total, weights = torch.zeros_like(codes), torch.zeros_like(codes[..., :1])
    for down, across in SHIFTS:
        part = (slice(None), slice(down, down + height), slice(across, across + width))
        weight = torch.exp(sharpness * ((own * units[part]).sum(3, keepdim=True) - 1))
        total, weights = total + weight * padded[part], weights + weight
    return total / weights
