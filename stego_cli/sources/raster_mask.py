"""The mask of a raster as a GeoTIFF: tiled, deflated, with the raster's coordinates, a colour table and overviews."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.errors import OutputError, setting
from stego_cli.images.passes import counts
from stego_cli.palette import Colour
from stego_cli.sources.gdal import gdal, reason_of
from stego_cli.sources.region import Region
from stego_cli.sources.source import Target
from stego_cli.text import shown

if TYPE_CHECKING:
    from rasterio.io import DatasetReader, DatasetWriter

_BLOCK = 512  # pixels, the side of a tile
_COUNTED = 64  # rows that are counted at once
_LARGE = 1 << 31  # pixels from which the file may pass what a classic TIFF can address


def write_mask(
    dataset: DatasetReader, region: Region, strips: Iterator[NDArray[np.uint8]], target: Target
) -> Counter[int]:
    """Write the mask of a raster, and return the number of pixels of each value.

    Args:
        dataset: the raster.
        region: the part that the mask covers.
        strips: the labels of all rows of `region.box`, uint8 (h, width) each.
        target: where it goes; the file there is replaced when the new one is whole.

    Raises:
        OutputError: it cannot be written.
    """
    import rasterio

    temporary = target.scratch / f".stego-{uuid.uuid4().hex[:16]}.tmp"
    try:
        target.mask.parent.mkdir(parents=True, exist_ok=True)
        with gdal():
            with rasterio.open(str(temporary), "w", **_profile(dataset, region)) as mask:
                mask.write_colormap(1, _colour_table(target.colours))
                pixels = _fill(mask, region, strips)
            factors = _overviews(region)
            if factors:
                with rasterio.Env(COMPRESS_OVERVIEW="DEFLATE"), rasterio.open(str(temporary), "r+") as mask:
                    mask.build_overviews(factors, rasterio.enums.Resampling.mode)
        temporary.replace(target.mask)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise OutputError(
            f"{shown(target.mask)} cannot be written: {reason_of(error)}.",
            f"Free some space or choose another {setting('out')}.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
        Path(f"{temporary}.aux.xml").unlink(missing_ok=True)
    return pixels


def _profile(dataset: DatasetReader, region: Region) -> dict[str, Any]:
    from rasterio.windows import Window

    box = region.box
    window = Window(box.left, box.top, box.width, box.height)
    georeferenced = dataset.crs is not None or not dataset.transform.is_identity or box.left or box.top
    return {
        "driver": "GTiff",
        "height": box.height,
        "width": box.width,
        "count": 1,
        "dtype": "uint8",
        "nodata": VOID,
        **({"crs": dataset.crs, "transform": dataset.window_transform(window)} if georeferenced else {}),
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "DEFLATE",
        "predictor": 1,
        "bigtiff": "YES" if box.height * box.width >= _LARGE else "NO",
    }


def _colour_table(colours: list[Colour]) -> dict[int, tuple[int, int, int, int]]:
    table = {value: (*colour, 255) for value, colour in enumerate(colours[:VOID])}
    return {**table, VOID: (0, 0, 0, 0)}


def _fill(mask: DatasetWriter, region: Region, strips: Iterator[NDArray[np.uint8]]) -> Counter[int]:
    """Write all rows, whole rows of tiles at a time, so that each tile is compressed once."""
    from rasterio.windows import Window

    waiting = np.zeros((0, region.box.width), np.uint8)
    found, top = np.zeros(VOID + 1, np.int64), 0
    for strip in strips:
        waiting = np.concatenate([waiting, strip])
        whole = len(waiting) if top + len(waiting) == region.box.height else len(waiting) // _BLOCK * _BLOCK
        if whole:
            rows, waiting = waiting[:whole], waiting[whole:]
            outside = region.outside(region.box.top + top, whole)
            if outside is not None:
                rows = np.where(outside, np.uint8(VOID), rows)
            mask.write(rows, 1, window=Window(0, top, region.box.width, whole))
            for some in range(0, whole, _COUNTED):  # without the C++ code, counting takes 8 bytes a pixel
                found += counts(rows[some : some + _COUNTED])
            top += whole
    return Counter({int(value): int(found[value]) for value in found.nonzero()[0]})


def _overviews(region: Region) -> list[int]:
    longest, factors = max(region.box.height, region.box.width), list[int]()
    while longest > _BLOCK:
        factors.append(2 ** (len(factors) + 1))
        longest = -(-longest // 2)
    return factors
