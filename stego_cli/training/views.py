"""What training looks at: each photograph whole, or five crops of it; in its own shape, or as the paper's squares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.datasets.crops import Box, five
from stego_cli.errors import PhotoError
from stego_cli.images.decode import Rgb, decode, decode_whole, nearest_square, photo_size, work_size
from stego_cli.settings import TrainSettings


@dataclass(frozen=True)
class Cut:
    """How photographs become views.

    Attributes:
        res: shorter side of a view, pixels.
        patch: pixels; a view is whole patches wide and high.
        crops: "none" or "five".
        ratio: a crop's share of the photograph's width and height.
        square: take the centre square by the nearest pixel, as the original does.
    """

    res: int
    patch: int
    crops: str = "none"
    ratio: float = 0.5
    square: bool = False

    def boxes(self, size: tuple[int, int]) -> list[Box]:
        """Return what of a photograph of `size` (width, height) the views show, before any square is cut."""
        return [(0, 0, *size)] if self.crops == "none" else five(*size, self.ratio)

    def grid(self, box: Box) -> tuple[int, int]:
        """Return a view's height and width in patches."""
        if self.square:
            return self._side, self._side
        width, height = work_size(box[2] - box[0], box[3] - box[1], self.res, self.patch)
        return height // self.patch, width // self.patch

    @property
    def _side(self) -> int:
        return max(1, round(self.res / self.patch))

    def shares(self, box: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of the photograph that a view shows: left, top, right, bottom as shares of its size."""
        left, top, right, bottom = map(float, box)
        if self.square:
            side = min(right - left, bottom - top)
            left, top = left + (right - left - side) / 2, top + (bottom - top - side) / 2
            right, bottom = left + side, top + side
        return left / size[0], top / size[1], right / size[0], bottom / size[1]

    def pixels(self, path: Path, size: tuple[int, int], wanted: list[int]) -> list[Rgb]:
        """Decode those of a photograph's views whose numbers are `wanted`.

        Raises:
            PhotoError: it cannot be decoded, or is no longer of `size`.
        """
        if self.crops == "none" and not self.square:
            decoded = decode(path, self.res, self.patch)  # at work size at once
            if decoded.size != size:
                raise PhotoError("it changed while it was read")
            return [decoded.pixels for _ in wanted]
        whole = decode_whole(path)
        if whole.size != size:
            raise PhotoError("it changed while it was read")
        boxes = self.boxes(size)
        if self.square:
            return [np.asarray(nearest_square(whole.crop(boxes[n]), self._side * self.patch)) for n in wanted]
        return [np.asarray(self._resized(whole, boxes[n])) for n in wanted]

    def _resized(self, whole: Image.Image, box: Box) -> Image.Image:
        rows, columns = self.grid(box)
        return whole.resize((columns * self.patch, rows * self.patch), Image.Resampling.BILINEAR, box=box)


def cut_of(settings: TrainSettings, patch: int) -> Cut:
    """Return how these settings cut photographs for a backbone of that patch."""
    return Cut(settings.res, patch, settings.crops, settings.crop_ratio, settings.scheme == "paper")


@dataclass(frozen=True)
class View:
    """One view: the photograph's number and path, its size in pixels, and which of its views this is."""

    photo: int
    path: Path
    size: tuple[int, int]
    number: int
    box: Box


def views_of(photo: int, path: Path, cut: Cut) -> list[View] | str:
    """Return the views of a photograph from its header alone, or the reason why there are none."""
    try:
        size = photo_size(path)
    except PhotoError as error:
        return error.message
    return [View(photo, path, size, number, box) for number, box in enumerate(cut.boxes(size))]


def pixels_of(views: list[View], cut: Cut) -> list[Rgb] | str:
    """Return the pixels of views of one photograph, or the reason why it cannot be decoded."""
    try:
        return cut.pixels(views[0].path, views[0].size, [view.number for view in views])
    except PhotoError as error:
        return error.message
