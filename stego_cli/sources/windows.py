"""How a raster is divided into windows that overlap.

Windows lie on the grid of the whole raster, whatever part of it is wanted, so that a part gets the labels that it has
in the whole.
"""

from __future__ import annotations

from dataclasses import dataclass


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
