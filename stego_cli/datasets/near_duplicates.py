"""Near-duplicates: the same picture saved again, resized, or a little brighter.

A picture's fingerprint is a difference hash: it is reduced to 9 x 8 grey values, and each of 64 bits is whether a value
is darker than its right neighbour. A picture that is nearly flat has none. Pictures are alike if their fingerprints
differ in few bits, or if a chain of such pairs joins them.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from stego_cli.datasets.from_bytes import open_picture
from stego_cli.errors import PhotoError

_ACROSS, _DOWN = 9, 8
_BITS = 7  # of 64, by which near-duplicates may differ; unrelated photographs differ by 20 to 40
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


def alike(prints: list[int | None]) -> list[list[int]]:
    """Return groups of indices of near-duplicates, in the order of their first members; None is like no other."""
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
    groups: dict[int, list[int]] = {}
    for index in range(len(prints)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())
