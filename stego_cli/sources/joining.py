"""How the labels of windows that overlap become one.

Each window says of a pixel which two classes are the most probable. Probabilities are added up over the windows, times
a factor that falls to nothing at a window's edge, and the class with the largest sum is the label. Near an edge the
neighbour, which sees more on the other side of it, decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.images.passes import counts, likeliest, replaced
from stego_cli.sources.source import PartMask
from stego_cli.sources.windows import Box

Strip = NDArray[np.uint8]
_KEPT = 16  # windows, of which a cell and the next one share some


def joined(boxes: Sequence[Box], read: Callable[[Box], PartMask | None], within: Box, overlap: int) -> Iterator[Strip]:
    """Yield the labels of the box `within` from those of its windows, strip by strip from the top, each whole rows.

    Memory stays at some windows and a strip, whatever the number of classes.

    Args:
        boxes: the windows, all of one size.
        read: returns the labels of a window; None where it has none. Called a few times for each.
        within: what is wanted.
        overlap: pixels over which a window's weight rises from its edge; at most up to its middle.

    Yields:
        uint8 (h, within.width), 255 where no window has a label.
    """
    read = lru_cache(maxsize=_KEPT)(read)
    by_top, lefts = defaultdict[int, list[Box]](list), {box.left for box in boxes}
    for box in boxes:
        by_top[box.top].append(box)
    for top, bottom in _between(set(by_top), within.top, within.bottom):
        strip = np.full((bottom - top, within.width), VOID, np.uint8)
        rows = [box for first in sorted(by_top) for box in by_top[first] if first < bottom and box.bottom > top]
        for left, right in _between(lefts, within.left, within.right):
            cell = Box(top, left, bottom - top, right - left)
            some = [(box, part) for box in rows if box.meets(cell) and (part := read(box)) is not None]
            if some:
                strip[:, left - within.left : right - within.left] = _likeliest(cell, some, overlap)
        yield strip


def _between(marks: set[int], first: int, last: int) -> list[tuple[int, int]]:
    """Return the pieces into which marks divide a length."""
    inner = sorted(mark for mark in marks if first < mark < last)
    return list(zip([first, *inner], [*inner, last], strict=True))


def _likeliest(cell: Box, some: Sequence[tuple[Box, PartMask]], overlap: int) -> Strip:
    """Return the labels of a cell from those of the windows that meet it."""
    classes = _classes(part for _, part in some)
    if not len(classes):
        return np.full((cell.height, cell.width), VOID, np.uint8)
    index = np.zeros(VOID + 1, np.uint8)
    index[classes] = np.arange(len(classes))
    scores = np.zeros((len(classes), cell.height, cell.width), np.float32)
    for box, part in some:
        rows = slice(max(box.top, cell.top), min(box.bottom, cell.bottom))
        columns = slice(max(box.left, cell.left), min(box.right, cell.right))
        own = _moved(rows, box.top), _moved(columns, box.left)
        there = scores[:, _moved(rows, cell.top), _moved(columns, cell.left)]
        fading = _fading(box.height, overlap)[own[0], None] * _fading(box.width, overlap)[own[1]]
        at = np.indices(fading.shape, sparse=True)
        for labels, surety in ((part.labels, part.surety), (part.second, part.second_surety)):
            if labels is not None and surety is not None:
                nothing = (part.labels[own] == VOID) | (labels[own] == VOID)  # it has no value there
                weight = np.where(nothing, 0, surety[own]) * fading
                there[replaced(np.ascontiguousarray(labels[own]), index), *at] += weight
    chosen: Strip = classes[likeliest(scores)[0]]
    chosen[~scores.any(0)] = VOID
    return chosen


def _classes(parts: Iterator[PartMask]) -> NDArray[np.uint8]:
    """Return the values that labels have, rising, without that of no label."""
    found = np.zeros(VOID + 1, bool)
    for part in parts:
        for labels in (part.labels, part.second):
            if labels is not None:
                found |= counts(labels) > 0
    return found[:VOID].nonzero()[0].astype(np.uint8)


def _moved(pixels: slice, first: int) -> slice:
    return slice(pixels.start - first, pixels.stop - first)


@lru_cache(maxsize=16)
def _fading(length: int, edge: int) -> NDArray[np.float32]:
    """Return weights (length,) that rise from the ends over `edge` pixels to 1; never 0."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.minimum(distance / max(edge, 1), 1).astype(np.float32)
