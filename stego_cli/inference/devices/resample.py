"""Pillow's bilinear filter in torch, for pictures that are decoded in the memory of a GPU.

Resizing along one axis is a product with a matrix that is mostly zeros. On a GPU that costs less than gathering: at
4000 x 3000 pixels about a hundred thousand multiplications for a pixel of the result.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_HELD = 256 << 20  # bytes of float32 planes at once, or those of one picture


def resized(images: Tensor, size: tuple[int, int], held: int = _HELD) -> Tensor:
    """Return pictures at another size, as Pillow gives them up to one step of 255.

    Args:
        images: uint8 (B, H, W, 3).
        size: new width and height.
        held: bytes that may be used at once.

    Returns:
        uint8 (B, new H, new W, 3) on the same device.
    """
    batch, height, width, channels = images.shape
    together = max(1, held // (4 * height * width * channels))
    across, down = (_weights(old, new, images.device) for old, new in ((width, size[0]), (height, size[1])))
    results = []
    for part in torch.split(images, together):
        planes = part.permute(0, 3, 1, 2).to(torch.float32)  # (b, 3, H, W)
        planes = _rounded(planes @ across.T)
        planes = _rounded(down @ planes)
        results.append(planes.to(torch.uint8).permute(0, 2, 3, 1))
    return torch.cat(results) if batch else images.new_empty(0, size[1], size[0], channels)


def _rounded(values: Tensor) -> Tensor:
    return values.add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=16)
def _weights(old: int, new: int, device: torch.device) -> Tensor:
    """Return the share of each of `old` pixels in each of `new` ones, float32 (new, old)."""
    scale = old / new
    reach = max(scale, 1.0)  # the filter is widened where the picture shrinks
    centres = (np.arange(new) + 0.5)[:, None] * scale
    distances = np.abs(np.arange(old) + 0.5 - centres) / reach
    first, end = (np.floor(centres + side * reach + 0.5) for side in (-1, 1))  # Pillow's window
    inside = (np.arange(old) >= first) & (np.arange(old) < end)
    shares = np.where(inside, np.maximum(1 - distances, 0), 0)
    return torch.tensor(shares / shares.sum(1, keepdims=True), dtype=torch.float32, device=device)
