"""The boxes of crops. The paper trains on five crops of each photograph, at half its size."""

from __future__ import annotations

import random

Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels

COUNT = 5


def five(width: int, height: int, ratio: float) -> list[Box]:
    """Return the four corners (upper left, upper right, lower left, lower right) and the centre."""
    across, down = _size(width, height, ratio)
    right, bottom = width - across, height - down
    corners = [(0, 0), (right, 0), (0, bottom), (right, bottom), (round(right / 2), round(bottom / 2))]
    return [(left, top, left + across, top + down) for left, top in corners]


def at_random(width: int, height: int, ratio: float, seed: bytes) -> list[Box]:
    """Return five boxes, drawn uniformly from all places by `seed`."""
    across, down = _size(width, height, ratio)
    draw = random.Random(seed)
    places = [(draw.randint(0, width - across), draw.randint(0, height - down)) for _ in range(COUNT)]
    return [(left, top, left + across, top + down) for left, top in places]


def _size(width: int, height: int, ratio: float) -> tuple[int, int]:
    return max(1, int(width * ratio)), max(1, int(height * ratio))
