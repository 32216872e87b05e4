"""How the labels of windows that overlap become one.

Each window says of a pixel which two classes are the most probable. Probabilities are added up over the windows, times
a factor that falls to nothing at a window's edge, and the class with the largest sum is the label. Near an edge the
neighbour, which sees more on the other side of it, decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.images.passes import counts, likeliest
from stego_cli.sources.source import PartMask
from stego_cli.sources.windows import Box

Strip = NDArray[np.uint8]


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
    tops, lefts = {box.top for box in boxes}, {box.left for box in boxes}
    for top, bottom in _between(tops, within.top, within.bottom):
        strip = np.full((bottom - top, within.width), VOID, np.uint8)
        kept: dict[Box, PartMask | None] = {}  # of the cell before, which shares some windows with the next one
        rows = [box for box in boxes if box.top < bottom and box.bottom > top]
        for left, right in _between(lefts, within.left, within.right):
            cell = Box(top, left, bottom - top, right - left)
            kept = {box: kept[box] if box in kept else read(box) for box in rows if box.meets(cell)}
            some = [(box, part) for box, part in kept.items() if part is not None]
            for piece in _pieces(cell, [box for box, _ in some]):
                strip[_within(piece, top, within.left)] = _labels(piece, some, overlap)
        yield strip


def _between(marks: set[int], first: int, last: int) -> list[tuple[int, int]]:
    """Return the pieces into which marks divide a length."""
    inner = sorted(mark for mark in marks if first < mark < last)
    return list(zip([first, *inner], [*inner, last], strict=True))


def _pieces(cell: Box, boxes: Sequence[Box]) -> Iterator[Box]:
    """Yield the parts of a cell that meet the same windows all over."""
    for top, bottom in _between({edge for box in boxes for edge in (box.top, box.bottom)}, cell.top, cell.bottom):
        for left, right in _between({edge for box in boxes for edge in (box.left, box.right)}, cell.left, cell.right):
            yield Box(top, left, bottom - top, right - left)


def _labels(piece: Box, some: Sequence[tuple[Box, PartMask]], overlap: int) -> Strip | int:
    """Return the labels of a piece, or that it has none, from those of the windows that contain it."""
    there = [(box, part) for box, part in some if box.meets(piece)]
    if not there:
        return VOID
    return _alone(piece, *there[0]) if len(there) == 1 else _likeliest(piece, there, overlap)


def _alone(piece: Box, box: Box, part: PartMask) -> Strip:
    """Return what `_likeliest` does where there is one window: its labels, a smaller one first of two as probable."""
    own = _within(piece, box.top, box.left)
    labels, surety = part.labels[own], part.surety[own]
    if part.second is not None and part.second_surety is not None:
        second, other = part.second[own], part.second_surety[own]
        changed = ((other > surety) | ((other == surety) & (second < labels))) & (second != VOID) & (labels != VOID)
        labels, surety = np.where(changed, second, labels), np.where(changed, other, surety)
    return np.where(surety == 0, np.uint8(VOID), labels)


def _likeliest(piece: Box, some: Sequence[tuple[Box, PartMask]], overlap: int) -> Strip:
    """Return the labels of a piece from those of windows that contain it."""
    votes = [vote for box, part in some for vote in _votes(piece, box, part, overlap)]
    found = np.zeros(VOID + 1, bool)
    for labels, _ in votes:
        found |= counts(np.ascontiguousarray(labels)) > 0
    classes = found[:VOID].nonzero()[0].astype(np.uint8)
    if not len(classes):
        return np.full((piece.height, piece.width), VOID, np.uint8)
    pixels = piece.height * piece.width
    scores = np.zeros((len(classes), piece.height, piece.width), np.float32)
    flat, places = scores.reshape(-1), np.arange(pixels).reshape(piece.height, piece.width)
    first = np.zeros(VOID + 1, np.int64)  # place of a class's scores
    first[classes] = np.arange(len(classes)) * pixels
    for labels, weight in votes:
        flat[first[labels] + places] += weight  # half the time of indices into three dimensions
    chosen: Strip = classes[likeliest(scores)[0]]
    chosen[~scores.any(0)] = VOID
    return chosen


def _votes(piece: Box, box: Box, part: PartMask, overlap: int) -> Iterator[tuple[Strip, NDArray[np.float32]]]:
    """Yield the labels that a window has for a piece, and what each weighs there."""
    own = _within(piece, box.top, box.left)
    fading = _fading(box.height, overlap)[own[0], None] * _fading(box.width, overlap)[own[1]]
    for labels, surety in ((part.labels, part.surety), (part.second, part.second_surety)):
        if labels is not None and surety is not None:
            nothing = (part.labels[own] == VOID) | (labels[own] == VOID)  # it has no value there
            yield labels[own], np.where(nothing, 0, surety[own]) * fading


def _within(box: Box, top: int, left: int) -> tuple[slice, slice]:
    """Return the rows and columns of a box in an array whose first pixel is at (top, left)."""
    return slice(box.top - top, box.bottom - top), slice(box.left - left, box.right - left)


@lru_cache(maxsize=16)
def _fading(length: int, edge: int) -> NDArray[np.float32]:
    """Return weights (length,) that rise from the ends over `edge` pixels to 1; never 0."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
    return np.minimum(distance / max(edge, 1), 1).astype(np.float32)
