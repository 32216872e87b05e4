"""Which few photographs are most worth labelling: those that show as many clusters as possible, the large ones first.

A cluster counts by its share of all pixels, times 1 - exp(-n / (0.1 s)), where n is the number of its pixels in the
photographs chosen so far and s the size of a photograph: a tenth of a photograph shows much of it, and more adds
little. Photographs are chosen one after the other, each time the one that adds most (docs/log/naming.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ENOUGH = 0.1  # of a photograph


def worth_labelling(pixels: NDArray[np.int64], count: int) -> list[int]:
    """Return the photographs that are most worth labelling, the best first.

    Args:
        pixels: int64 (photographs, clusters), pixels of each cluster in each photograph.
        count: of photographs; with fewer there are all.
    """
    size = max(1.0, float(pixels.sum(1).mean()))
    weights = pixels.sum(0) / max(1, int(pixels.sum()))
    shown, left = np.zeros(pixels.shape[1]), list(range(len(pixels)))
    chosen: list[int] = []
    while left and len(chosen) < count:
        worth = (1 - np.exp(-(shown + pixels[left]) / (_ENOUGH * size))) @ weights
        best = left.pop(int(worth.argmax()))
        shown = shown + pixels[best]
        chosen.append(best)
    return chosen
