"""The numbers of a raster, window by window, as `images.readers.bands.Bands`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.images.readers.bands import RGB_NAMES, BandsInfo, Block, Numbers, kind_of
from stego_cli.sources.windows import Box

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_SAMPLE = 256  # pixels, the side of the blocks that a stretch is decided on


class RasterBands:
    """Windows of an open raster; a palette counts as three bands.

    Args:
        dataset: the raster.
        boxes: its windows, each yielded as a block.
        work: width and height at which a window is worked; one that is more than twice as large is read smaller.
    """

    def __init__(self, dataset: DatasetReader, boxes: Sequence[Box], work: tuple[int, int] | None = None) -> None:
        self._dataset, self._boxes = dataset, boxes
        self._palette = _palette(dataset)
        first = boxes[0]
        self._shape = first.height, first.width
        if work is not None and (first.height > 2 * work[1] or first.width > 2 * work[0]):
            self._shape = min(first.height, 2 * work[1]), min(first.width, 2 * work[0])
        self.info = _info(dataset, self._shape, self._palette is not None)

    def missing(self, box: Box) -> NDArray[np.bool_] | None:
        """Return where the raster says that a window has no value, (H, W); None: it has one everywhere."""
        from rasterio.enums import MaskFlags

        if all(MaskFlags.all_valid in flags for flags in self._dataset.mask_flag_enums):
            return None
        valid: NDArray[np.uint8] = self._dataset.dataset_mask(window=_window(box))
        return None if valid.all() else valid == 0

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        from rasterio.enums import Resampling

        step = max(1, len(self._boxes) // some) if some else 1
        for box in self._boxes[::step]:
            shape = self._shape if len(self._boxes) == 1 else (box.height, box.width)
            wanted = [1] if self._palette is not None else [band + 1 for band in bands]
            smoothed = Resampling.nearest if self._palette is not None else Resampling.average
            numbers = self._dataset.read(
                wanted, window=_window(box), out_shape=(len(wanted), *shape), resampling=smoothed
            )
            if self._palette is not None:
                yield Block(0, 0, self._palette[numbers[0]][..., list(bands)])
            else:
                yield Block(0, 0, np.moveaxis(numbers, 0, -1))


def sample_bands(dataset: DatasetReader) -> RasterBands:
    """Return bands whose blocks are spread evenly over the whole raster, to decide a stretch on."""
    tops = range(0, dataset.height, _SAMPLE)
    lefts = range(0, dataset.width, _SAMPLE)
    boxes = [
        Box(top, left, min(_SAMPLE, dataset.height - top), min(_SAMPLE, dataset.width - left))
        for top in tops[:: max(1, len(tops) // 8)]
        for left in lefts[:: max(1, len(lefts) // 8)]
    ]
    return RasterBands(dataset, boxes)


def _window(box: Box) -> object:
    from rasterio.windows import Window

    return Window(box.left, box.top, box.width, box.height)


def _info(dataset: DatasetReader, shape: tuple[int, int], has_palette: bool) -> BandsInfo:
    from rasterio.enums import ColorInterp

    height, width = shape
    if has_palette:
        return BandsInfo(width, height, "uint8", 3, names=RGB_NAMES)
    kinds = {kind_of(np.dtype(name)) for name in dataset.dtypes}
    if len(kinds) > 1 or any(name.startswith("complex") for name in dataset.dtypes):
        raise PhotoError(f"a raster of bands that are not read ({', '.join(sorted(set(dataset.dtypes)))})")
    alpha = next((i for i, meaning in enumerate(dataset.colorinterp) if meaning is ColorInterp.alpha and i), None)
    names = tuple(
        tuple(filter(None, (description, "" if meaning is ColorInterp.undefined else meaning.name)))
        for description, meaning in zip(dataset.descriptions, dataset.colorinterp, strict=True)
    )
    return BandsInfo(width, height, kinds.pop(), dataset.count, alpha, nodata=dataset.nodata, names=names)


def _palette(dataset: DatasetReader) -> Numbers | None:
    from rasterio.enums import ColorInterp

    if dataset.colorinterp[0] is not ColorInterp.palette or dataset.dtypes[0] != "uint8":
        return None
    table = np.zeros((256, 3), np.uint8)
    for value, colour in dataset.colormap(1).items():
        table[value] = colour[:3]
    return table
