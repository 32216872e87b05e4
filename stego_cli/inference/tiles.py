"""Large photographs in overlapping tiles, since attention's memory grows with the square of the patches.

Tiles' log-probabilities are joined with weights that fall to nothing at a tile's edge, so that no seam shows: near an
edge the neighbour, which covers more on the other side of it, decides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stego_cli.images.decode import Rgb
from stego_cli.inference.session import LogProbs

MOST_PATCHES = 4300  # that attention sees at once; its scores then take about half a gigabyte
TILE = 48  # patches, the side of a tile
OVERLAP = 12  # patches that two tiles share at least


def in_tiles(images: Rgb, patch: int, infer: Callable[[Rgb], list[LogProbs]]) -> list[LogProbs]:
    """Return log-probabilities for images of any size, tile by tile where there are more than MOST_PATCHES patches.

    Args:
        images: uint8 (B, H, W, 3), H and W multiples of the patch.
        patch: pixels a side.
        infer: from images to log-probabilities, float32 (B, K, h, w) of each probe.

    Returns:
        float32 (B, K, H, W) of each probe, normalised.
    """
    batch, height, width, _ = images.shape
    if (height // patch) * (width // patch) <= MOST_PATCHES:
        return infer(images)
    side = TILE * patch
    joined: list[LogProbs] = []
    total = np.zeros((height, width), np.float32)
    for top in starts(height // patch):
        for left in starts(width // patch):
            rows = slice(top * patch, min(top * patch + side, height))
            columns = slice(left * patch, min(left * patch + side, width))
            parts = infer(np.ascontiguousarray(images[:, rows, columns]))
            if not joined:
                joined = [np.zeros((batch, part.shape[1], height, width), np.float32) for part in parts]
            weight = np.outer(*(_fading(length, OVERLAP * patch) for length in parts[0].shape[2:]))
            for whole, part in zip(joined, parts, strict=True):
                whole[:, :, rows, columns] += weight * part
            total[rows, columns] += weight
    for whole in joined:
        whole /= total
        most = whole.max(1, keepdims=True)
        whole -= most + np.log(np.exp(whole - most).sum(1, keepdims=True))
    return joined


def starts(patches: int) -> list[int]:
    """Return where tiles begin along a side of that many patches: evenly spread, OVERLAP or more in common."""
    if patches <= TILE:
        return [0]
    count = -(-(patches - OVERLAP) // (TILE - OVERLAP))
    return [round(index * (patches - TILE) / (count - 1)) for index in range(count)]


def _fading(length: int, edge: int) -> NDArray[np.float32]:
    """Return weights (length,) that rise from the ends over `edge` pixels to 1; never 0."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.minimum(distance / edge, 1).astype(np.float32)
