"""Georeferenced rasters, and pictures too large for a photograph, by windows; read and written with rasterio (GDAL).

A window is a square of the side at which the model works, at the raster's own ground resolution or a chosen one. It is
read when its turn comes, and nothing larger than a window, or than a row of windows' labels, is ever in memory.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.decode import Decoded
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.stretch import NoData, range_for, to_8_bits
from stego_cli.sources.gdal import gdal, opened, reason_of
from stego_cli.sources.joining import joined
from stego_cli.sources.raster_bands import RasterBands, sample_bands
from stego_cli.sources.raster_mask import write_mask
from stego_cli.sources.region import Region, pixel_size, region_of
from stego_cli.sources.source import EMPTY, Asked, ReadPart, Target
from stego_cli.sources.windows import Box, windows

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

OVERLAP = 12  # patches that neighbouring windows share at least: with fewer, borders of windows show in the mask
LEAST_SIDE = 48  # patches of a window: with fewer, the labels are worse
_MOST_SIDE = 4096  # pixels of the raster in a window's side: labels are made at the raster's own size
_SAMPLED_SHARE = 0.75  # of a window's pixels that have a value, for classes to be found in it


@dataclass(frozen=True)
class Grid:
    """The windows of a raster.

    Attributes:
        boxes: those that meet the wanted part, row by row.
        work: side of a whole window at work, pixels; `scale`: pixels at work for one of the raster.
        patch: of the model, pixels.
        overlap: pixels of the raster that neighbours share at least.
    """

    boxes: list[Box]
    work: int
    scale: float
    patch: int
    overlap: int

    def work_size(self, box: Box) -> tuple[int, int]:
        """Return the width and height at which a window is worked, whole patches."""
        return self._whole(box.width), self._whole(box.height)

    def _whole(self, length: int) -> int:
        return max(1, round(length * self.scale / self.patch)) * self.patch


class RasterSource:
    """See `source.Source`.

    Raises (when it is made):
        PhotoError: the file cannot be opened, or nothing of it is wanted.
        UsageError: what is asked for needs coordinates that it does not have.
    """

    unit = "windows"
    troubles: Sequence[str] = ()

    def __init__(self, asked: Asked) -> None:
        self._asked, self._local, self._open = asked, threading.local(), list[Any]()
        dataset = self._dataset()
        self._size = dataset.height, dataset.width
        with gdal():
            self._region: Region = region_of(dataset, asked.parts)
            self._grid = _grid(dataset, self._region.box, asked)
        self._boxes = {box.key: box for box in self._grid.boxes if self._region.meets(box)}
        if not self._boxes:
            raise PhotoError("nothing of it lies in what is asked for")
        self.notes = _notes(dataset, asked, self._grid, len(self._boxes))

    def _dataset(self) -> DatasetReader:
        """Return the file, opened once a thread: GDAL's datasets are not to be shared."""
        dataset: DatasetReader | None = getattr(self._local, "dataset", None)
        if dataset is None:
            dataset = opened(self._asked.file)
            self._local.dataset = dataset
            self._open.append(dataset)
        return dataset

    def keys(self) -> Sequence[str]:
        """See `Source`."""
        return list(self._boxes)

    def begin(self, keys: Iterable[str]) -> Iterator[str]:
        """See `Source`."""
        yield from keys

    def decode(self, key: str) -> Decoded:
        """See `Source`."""
        box = self._boxes[key]
        image, nodata = self._rgb(box, self._grid.work_size(box))
        resized = image.resize(self._grid.work_size(box), Image.Resampling.BILINEAR)
        return Decoded(np.asarray(resized), (box.width, box.height), nodata)

    def _rgb(self, box: Box, work: tuple[int, int]) -> tuple[Image.Image, NoData | None]:
        """Return a window as RGB, and where it has no value, at its own size."""
        try:
            image, nodata, missing = self._read(box, work)
        except PhotoError:
            raise
        except Exception:  # as many kinds as GDAL has drivers; it may be the error of the window before, reported late
            try:
                image, nodata, missing = self._read(box, work)
            except PhotoError:
                raise
            except Exception as error:
                raise PhotoError(reason_of(error)) from error
        if nodata is not None and nodata.shape != (box.height, box.width):  # it was read at less than its size
            nodata = np.asarray(Image.fromarray(nodata).resize((box.width, box.height), Image.Resampling.NEAREST))
        if missing is not None:
            nodata = missing if nodata is None else nodata | missing
        return image, nodata

    def _read(self, box: Box, work: tuple[int, int]) -> tuple[Image.Image, NoData | None, NoData | None]:
        reading = self._asked.reading
        with gdal():
            bands = RasterBands(self._dataset(), [box], work)
            missing = bands.missing(box)
            if missing is not None and missing.all():
                raise PhotoError(EMPTY)
            return *to_8_bits(bands, reading, range_for(bands, reading)), missing

    def samples(self, count: int) -> Iterator[Image.Image]:
        """See `Source`."""
        side = max(1, round(self._asked.res / self._grid.scale))
        within = self._region.box
        boxes = [box for box in windows(*self._size, side, 0, within) if self._region.meets(box)]
        for box in boxes[:: max(1, len(boxes) // count)]:
            try:
                image, nodata = self._rgb(box, self._grid.work_size(box))
            except PhotoError:
                continue
            if nodata is None or 1 - nodata.mean() >= _SAMPLED_SHARE:
                yield image.resize((box.width, box.height)) if image.size != (box.width, box.height) else image

    def assemble(self, read: ReadPart, target: Target) -> Counter[int]:
        """See `Source`."""
        boxes, region = list(self._boxes.values()), self._region
        strips = joined(boxes, lambda box: read(box.key), region.box, self._grid.overlap)
        return write_mask(self._dataset(), region, strips, target)

    def __enter__(self) -> RasterSource:
        return self

    def __exit__(self, *error: object) -> None:
        for dataset in self._open:
            dataset.close()


def _grid(dataset: DatasetReader, within: Box, asked: Asked) -> Grid:
    scale, ground = 1.0, pixel_size(dataset)
    if asked.parts.res_ground is not None and ground is None:
        raise UsageError(
            f"{setting('res_ground')} needs coordinates, and {asked.name} has none.",
            f"Leave out {setting('res_ground')}.",
        )
    if asked.parts.ground is not None and ground is not None:
        scale = ground / asked.parts.ground
    patches = max(LEAST_SIDE, round(asked.res / asked.patch))
    patches = max(2 * OVERLAP, min(patches, int(_MOST_SIDE * scale) // asked.patch))
    work = patches * asked.patch
    shared = OVERLAP if asked.parts.overlap is None else patches * asked.parts.overlap
    side, overlap = max(2, round(work / scale)), max(1, round(shared * asked.patch / scale))
    boxes = windows(dataset.height, dataset.width, side, min(overlap, side - 1), within)
    return Grid(boxes, work, scale, asked.patch, overlap)


def _notes(dataset: DatasetReader, asked: Asked, grid: Grid, count: int) -> list[str]:
    box = grid.boxes[0]
    where = "in coordinates" if dataset.crs is not None else "without coordinates, so in pixels"
    notes = [
        f"{asked.name}: a raster of {dataset.width} x {dataset.height} pixels {where}, {count} windows of "
        f"{box.width} x {box.height}."
    ]
    known = asked.parts.model_ground
    if dataset.crs is None and known is not None:
        notes.append(f"{asked.name} is worked at its own pixels; those that the model was trained at have {known:g} m.")
    return notes


def sampled(file: Path) -> OpenPicture:
    """Open a raster for a look at its numbers.

    Raises:
        PhotoError: it cannot be opened, or has bands that are not read.
    """
    dataset = opened(file)
    try:
        return OpenPicture((dataset.width, dataset.height), 1, bands=sample_bands(dataset), stream=dataset)
    except BaseException:
        dataset.close()
        raise
