"""Near-duplicates: the same picture saved again, resized, or a little brighter.

A picture's fingerprint is a difference hash: it is reduced to 9 x 8 grey values, and each of 64 bits is whether a value
is darker than its right neighbour. A picture that is nearly flat has none. Pictures are alike if their fingerprints
differ in few bits, or if a chain of such pairs joins them. More bits may differ between a picture and the next one, and
more still where that is so for the pictures around: these are the frames of a video.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.readers.table import open_picture

_ACROSS, _DOWN = 9, 8
_BITS = 7  # of 64, by which near-duplicates may differ; unrelated photographs differ by 20 to 40
_NEXT_BITS = 12  # the same for a picture and the next one
_VIDEO_BITS = 18  # the same where pictures around it, all but one, differ by no more from the next: a video
_AROUND = 4  # pictures before and after that are looked at
_FLAT = 8  # grey steps; if the values differ by less, the bits are noise
_AT_ONCE = 1 << 22  # pairs


def fingerprint(content: bytes) -> int | None:
    """Return the 64 bits of a picture file's content; None if it is nearly flat or cannot be decoded."""
    try:
        image = open_picture(content)
        image.draft("L", (_ACROSS * 8, _DOWN * 8))  # decode a JPEG at a smaller size
        values = np.asarray(image.convert("L").resize((_ACROSS, _DOWN), Image.Resampling.BOX)).astype(np.int16)
    except (PhotoError, OSError, ValueError, SyntaxError, MemoryError):
        return None
    if int(values.max()) - int(values.min()) < _FLAT:
        return None
    bits = (values[:, 1:] > values[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def are_near(one: int | None, other: int | None) -> bool:
    """Return whether two fingerprints are those of near-duplicates."""
    return _difference(one, other) <= _BITS


def alike(prints: list[int | None], ordered: Sequence[int] = ()) -> list[list[int]]:
    """Return groups of indices of near-duplicates, in the order of their first members.

    Args:
        prints: fingerprints; None is like no other.
        ordered: indices in the order in which the pictures may follow each other; empty if there is none.
    """
    parents = list(range(len(prints)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    known = np.array([index for index, mark in enumerate(prints) if mark is not None], dtype=np.int64)
    marks = np.array([mark for mark in prints if mark is not None], dtype=np.uint64)
    rows = max(1, _AT_ONCE // max(1, len(marks)))
    for start in range(0, len(marks), rows):
        block = marks[start : start + rows, None] ^ marks[None, start:]
        for left, right in np.argwhere(np.bitwise_count(block) <= _BITS):
            if left < right:
                first, second = sorted((root(int(known[start + left])), root(int(known[start + right]))))
                parents[second] = first
    for one, other in _consecutive(prints, ordered):
        first, second = sorted((root(one), root(other)))
        parents[second] = first
    groups: dict[int, list[int]] = {}
    for index in range(len(prints)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _consecutive(prints: list[int | None], ordered: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of a picture and the next one that are near-duplicates or frames of a video."""
    pairs = list(itertools.pairwise(ordered))
    differences = [_difference(prints[one], prints[other]) for one, other in pairs]
    for at, pair in enumerate(pairs):
        around = differences[max(0, at - _AROUND) : at + _AROUND + 1]
        is_video = len(around) > _AROUND and sorted(around)[-2] <= _VIDEO_BITS
        if differences[at] <= (_VIDEO_BITS if is_video else _NEXT_BITS):
            yield pair


def _difference(one: int | None, other: int | None) -> int:
    return 64 if one is None or other is None else (one ^ other).bit_count()
