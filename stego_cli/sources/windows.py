"""How a raster is divided into windows that overlap, and how their labels become one.

Windows lie on the grid of the whole raster, whatever part of it is wanted, so that a part gets the labels that it has
in the whole. Where windows overlap the label with the highest weight wins: its probability, times a factor that falls
to nothing at the window's edge. Near an edge the neighbour, which sees more on the other side of it, decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.sources.source import PartMask

Strip = NDArray[np.uint8]


@dataclass(frozen=True, order=True)
class Box:
    """A rectangle of pixels: first row and column, height and width."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The row below the last one."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The column behind the last one."""
        return self.left + self.width

    def meets(self, other: Box) -> bool:
        """Return whether they have pixels in common."""
        return max(self.top, other.top) < min(self.bottom, other.bottom) and max(self.left, other.left) < min(
            self.right, other.right
        )

    @property
    def key(self) -> str:
        """The identity of this window."""
        return f"window={self.left},{self.top},{self.width},{self.height}"


def starts(length: int, side: int, overlap: int) -> list[int]:
    """Return where windows begin along a length: evenly spread, `overlap` or more in common."""
    if length <= side:
        return [0]
    count = -(-(length - overlap) // (side - overlap))
    return [round(index * (length - side) / (count - 1)) for index in range(count)]


def windows(height: int, width: int, side: int, overlap: int, within: Box) -> list[Box]:
    """Return the windows of a raster that meet the box `within`, row by row from the left.

    Args:
        height: of the raster, pixels; `width`: likewise.
        side: of a window, pixels.
        overlap: pixels that neighbours share at least.
        within: the part that is wanted.
    """
    boxes = (
        Box(top, left, min(side, height), min(side, width))
        for top in starts(height, side, overlap)
        for left in starts(width, side, overlap)
    )
    return [box for box in boxes if box.meets(within)]


def joined(boxes: Sequence[Box], parts: Iterator[PartMask | None], within: Box, overlap: int) -> Iterator[Strip]:
    """Yield the labels of the box `within` from those of its windows, strip by strip from the top, each whole rows.

    Memory stays at one row of windows.

    Args:
        boxes: the windows, row by row; `parts`: their labels, in the same order, None where there are none.
        within: what is wanted.
        overlap: pixels over which a window's weight rises from its edge.

    Yields:
        uint8 (h, within.width), 255 where no window has a label.
    """
    high = max((box.height for box in boxes), default=0)
    labels = np.full((high, within.width), VOID, np.uint8)
    weights = np.zeros((high, within.width), np.uint16)
    done, last = within.top, min((box.top for box in boxes), default=0)  # rows yielded; first row of `labels`
    for box, part in zip(boxes, parts, strict=True):
        if box.top > last:
            yield from _rows(labels, last, done, min(box.top, within.bottom))
            done, step = max(done, min(box.top, within.bottom)), box.top - last
            _move_up(labels, step, VOID)
            _move_up(weights, step, 0)
            last = box.top
        if part is not None:
            _add(part, box, within, overlap, labels, weights)
    yield from _rows(labels, last, done, within.bottom)


def _rows(labels: Strip, first: int, begin: int, end: int) -> Iterator[Strip]:
    if begin < end:
        yield labels[begin - first : end - first].copy()


def _move_up(rows: NDArray[np.uint8] | NDArray[np.uint16], step: int, fill: int) -> None:
    kept = max(0, len(rows) - step)
    rows[:kept] = rows[len(rows) - kept :]
    rows[kept:] = fill


def _add(
    part: PartMask, box: Box, within: Box, overlap: int, labels: NDArray[np.uint8], weights: NDArray[np.uint16]
) -> None:
    """Put a window's labels where their weight is the highest so far."""
    left, right = max(box.left, within.left), min(box.right, within.right)
    own = slice(left - box.left, right - box.left)
    there = slice(0, box.height), slice(left - within.left, right - within.left)
    fading = _fading(box.height, overlap)[:, None] * _fading(box.width, overlap)[own]
    weight = np.rint(fading * part.surety[:, own] * (65_535 / 255)).astype(np.uint16)
    better = (weight > weights[there]) & (part.labels[:, own] != VOID)
    labels[there][better] = part.labels[:, own][better]
    weights[there][better] = weight[better]


@lru_cache(maxsize=16)
def _fading(length: int, edge: int) -> NDArray[np.float32]:
    """Return weights (length,) that rise from the ends over `edge` pixels to 1; never 0."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.minimum(distance / max(edge, 1), 1).astype(np.float32)
