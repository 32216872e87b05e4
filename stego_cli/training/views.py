"""The views that training uses: each photograph whole or as five crops, in its own shape or as the paper's squares."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.datasets.crops import Box, five
from stego_cli.errors import PhotoError
from stego_cli.images.decode import Rgb, decode, decode_whole, nearest_square, photo_size, work_size
from stego_cli.machine import cores
from stego_cli.reading import Reading
from stego_cli.settings import TrainSettings
from stego_cli.sources.draw import reading_of


@dataclass(frozen=True)
class Cut:
    """How photographs become views.

    Attributes:
        res: shorter side of a view, pixels.
        patch: side of a patch, pixels; a view's width and height are multiples of it.
        crops: "none" or "five".
        ratio: a crop's share of the photograph's width and height.
        square: take the centre square, resized by the nearest pixel, as the original does.
        reading: how pictures that are not RGB of 8 bits become that.
    """

    res: int
    patch: int
    crops: str = "none"
    ratio: float = 0.5
    square: bool = False
    reading: Reading = Reading()

    def boxes(self, size: tuple[int, int]) -> list[Box]:
        """Return the part of a photograph of `size` (width, height) that each view shows, before any square is cut."""
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
        """Return the part of the photograph that a view shows: left, top, right, bottom in shares, 0 to 1."""
        left, top, right, bottom = map(float, box)
        if self.square:
            side = min(right - left, bottom - top)
            left, top = left + (right - left - side) / 2, top + (bottom - top - side) / 2
            right, bottom = left + side, top + side
        return left / size[0], top / size[1], right / size[0], bottom / size[1]

    def pixels(self, path: Path, size: tuple[int, int], wanted: list[int]) -> list[Rgb]:
        """Decode the views of a photograph whose numbers are `wanted`, each uint8 (H, W, 3).

        Raises:
            PhotoError: it cannot be decoded, or is no longer of `size`.
        """
        if self.crops == "none" and not self.square:
            decoded = decode(path, self.res, self.patch, reading_of(path, self.reading))  # at work size at once
            if decoded.size != size:
                raise PhotoError("it changed while it was read")
            return [decoded.pixels for _ in wanted]
        whole = decode_whole(path, reading_of(path, self.reading))
        if whole.size != size:
            raise PhotoError("it changed while it was read")
        boxes = self.boxes(size)
        if self.square:
            return [np.asarray(nearest_square(whole.crop(boxes[n]), self._side * self.patch)) for n in wanted]
        return [np.asarray(self._resized(whole, boxes[n])) for n in wanted]

    def _resized(self, whole: Image.Image, box: Box) -> Image.Image:
        rows, columns = self.grid(box)
        return whole.resize((columns * self.patch, rows * self.patch), Image.Resampling.BILINEAR, box=box)


def cut_of(settings: TrainSettings, patch: int, reading: Reading) -> Cut:
    """Return the cut that these settings ask for, for a backbone with that patch size."""
    return Cut(settings.res, patch, settings.crops, settings.crop_ratio, settings.scheme == "paper", reading)


@dataclass(frozen=True)
class View:
    """A view: number, path and size (width, height) of its photograph; its number there, and its box."""

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


@dataclass(frozen=True)
class Survey:
    """The result of reading the photographs' headers.

    Attributes:
        cut: how photographs become views.
        views: of all photographs that can be opened; those of one photograph follow each other.
        grids: each view's height and width in patches.
        failed: photographs that cannot be opened: path and reason.
    """

    cut: Cut
    views: list[View]
    grids: list[tuple[int, int]]
    failed: list[tuple[Path, str]]

    def bytes(self, width: int) -> int:
        """Return the size of the float16 features of all views, for a backbone of that width."""
        return sum(rows * columns for rows, columns in self.grids) * width * 2


def survey(paths: list[Path], cut: Cut) -> Survey:
    """Read every photograph's header."""
    found: list[View] = []
    failed: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(cores()) as pool:
        headers = pool.map(lambda item: views_of(item[0], item[1], cut), enumerate(paths))
        for path, views in zip(paths, headers, strict=True):
            if isinstance(views, str):
                failed.append((path, views))
            else:
                found += views
    return Survey(cut, found, [cut.grid(view.box) for view in found], failed)
