"""Photographs of stripes in a few colours, for a model whose codes are colours (`coded_graph`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stego_cli.settings import SegmentSettings

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)
ORANGE, PINK = (250, 110, 10), (250, 10, 110)  # nearest to red of the three
CENTROIDS = (np.array([RED, GREEN, BLUE]) - 127.5) / 127.5
CENTROIDS /= np.linalg.norm(CENTROIDS, axis=1, keepdims=True)
PICTURES = {
    "a.png": [RED, ORANGE, GREEN],
    "b.png": [ORANGE, ORANGE, BLUE],
    "x/c.png": [PINK, RED, RED],
    "none.png": [GREEN, BLUE, GREEN],
}
SIDE = 40


def stripes(colours: list[tuple[int, int, int]]) -> np.ndarray:
    """Return (SIDE, 48 * n, 3): stripes of 48 pixels, whole cells."""
    return np.repeat(np.tile(np.array(colours, np.uint8), (SIDE, 1, 1)), 48, axis=1)


def again(masks: Path) -> SegmentSettings:
    """Return the settings that made masks of photographs beside them."""
    return SegmentSettings(masks.with_name("photos"), masks, crf=False, device="cpu", overlay=True)
