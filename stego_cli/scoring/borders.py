"""How well the borders between segments agree: the counts behind the boundary F-score.

A border pixel differs from its left or its upper neighbour. A predicted one is right if a border of the label lies
within the tolerance, and one of the label is found if a predicted border lies within it. The matching of clusters to
classes has no influence, so a mask of perfect outlines with the wrong names gets 100 %.

Borders are kept as bits, 64 to a word: growing them by the tolerance takes a few shifts of 5,000 words instead of as
many passes over 300,000 pixels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stego_cli.images.ids import Ids
from stego_cli.scoring.confusion import Mask

# In the flat picture: whether a pixel and the one before it are both of a class; and the same with the one above.
Inside = tuple[NDArray[np.bool_], NDArray[np.bool_]]
Bits = NDArray[np.uint64]  # (H, words), column 64 w + b of the picture is bit b of word w

TOLERANCE = 0.0075  # of the diagonal, the customary share: 6 pixels at 640 x 480
_WORD = 64


def tolerance(height: int, width: int) -> int:
    """Return how far, in pixels along each axis, borders may lie apart; at least 1."""
    return max(1, round(TOLERANCE * math.hypot(height, width)))


def border_counts(sides: tuple[tuple[Ids, Mask], tuple[Ids, Mask]], counted: Mask | None) -> NDArray[np.int64]:
    """Compare the borders of one pair.

    Args:
        sides: of the prediction, then of the label: uint8 or uint16 (H, W), and `confusion.changes_across` of it, which
            is overwritten.
        counted: bool (H, W), pixels of a class; a change between others is no border. None: all.

    Returns:
        int64 (4,): predicted border pixels, those that are right, the label's border pixels, those that are found.
    """
    height, width = sides[0][0].shape
    reach = tolerance(height, width)
    inside: Inside | None = None
    if counted is not None:
        each = counted.ravel()
        inside = each[1:] & each[:-1], each[width:] & each[:-width]
    guess, truth = (_bits(ids, across, inside, reach) for ids, across in sides)
    right, hit = guess & _grown(truth, reach), truth & _grown(guess, reach)
    return np.array([int(np.bitwise_count(each).sum()) for each in (guess, right, truth, hit)], dtype=np.int64)


def f_score(counts: NDArray[np.int64]) -> float:
    """Return the boundary F-score in percent from summed counts, 2 P R / (P + R) of precision P and recall R.

    It is NaN where neither side has any border.
    """
    predicted, right, labelled, hit = (int(each) for each in counts)
    if not predicted and not labelled:
        return math.nan
    if not right or not hit:
        return 0.0
    precision, recall = right / predicted, hit / labelled
    return 100.0 * 2.0 * precision * recall / (precision + recall)


def _bits(ids: Ids, across: Mask, inside: Inside | None, spare: int) -> Bits:
    """Return the borders as bits, with at least `spare` zero bits at the end of each row."""
    height, width = ids.shape
    # Flat views: with a slice of each row numpy is several times slower.
    border, flat = across.ravel(), ids.ravel()
    down = flat[width:] != flat[:-width]
    if inside is not None:
        border[1:] &= inside[0]  # column 0 is False, whatever the row above ends with
        down &= inside[1]
    border[width:] |= down
    packed = np.packbits(across, axis=1, bitorder="little")
    rows = np.zeros((height, -(-(width + spare) // _WORD) * _WORD // 8), dtype=np.uint8)
    rows[:, : packed.shape[1]] = packed
    return rows.view("<u8").astype(np.uint64, copy=False)


def _grown(bits: Bits, reach: int) -> Bits:
    """Return `bits` grown by `reach` pixels in each direction along both axes: a square of 2 reach + 1.

    Rows must end with `reach` zero bits, so that what grows over the end of a row does not reach its neighbour.
    """
    grown, stride = bits.ravel().copy(), bits.shape[1]
    # A window that is already this many pixels wide doubles by one shift of itself.
    for step in _doublings(reach, _WORD - 1):
        right, carry = np.uint64(step), np.uint64(_WORD - step)
        shifted = grown << right
        shifted[1:] |= grown[:-1] >> carry
        grown |= shifted
    for step in _doublings(reach, _WORD - 1):
        left, carry = np.uint64(step), np.uint64(_WORD - step)
        shifted = grown >> left
        shifted[:-1] |= grown[1:] << carry
        grown |= shifted
    for step in _doublings(reach, len(bits)):
        grown[step * stride :] |= grown[: -step * stride].copy()
    for step in _doublings(reach, len(bits)):
        grown[: -step * stride] |= grown[step * stride :].copy()
    return grown.reshape(bits.shape)


def _doublings(reach: int, most: int) -> list[int]:
    """Return shifts, none above `most`, after which one pixel has become reach + 1."""
    steps, have = [], 1
    while have < reach + 1:
        steps.append(min(have, reach + 1 - have, most))
        have += steps[-1]
    return steps
