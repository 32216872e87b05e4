"""Polygons of a raster's mask in world coordinates, with their areas on the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError
from stego_cli.gallery.formats.common import ClassRow, Shaping, need
from stego_cli.gallery.formats.polygons import shaped

_EQUAL_AREA = "EPSG:6933"  # cylindrical, on the ellipsoid, for all latitudes up to 86 degrees
_STEP = 20.0  # pixels: longer edges get corners between before they are turned into another coordinate system


@dataclass(frozen=True)
class WorldPolygons:
    """The regions of one mask.

    Attributes:
        rows: of each region, its class.
        shapes: of each region, in the coordinates `crs`, an array of shapely's polygons.
        areas: of each region in square metres; of pixels where the mask has no coordinate system.
        crs: as well-known text; None: the mask has no coordinate system, and coordinates are pixels.
    """

    rows: list[ClassRow]
    shapes: Any
    areas: list[float]
    crs: str | None


def world_polygons(mask: Path, classes: Sequence[ClassRow], shaping: Shaping) -> WorldPolygons:
    """Return the regions of a raster's mask as polygons, the largest first. Values of no class are left out.

    Raises:
        PhotoError: the mask cannot be read.
    """
    need("rasterio", "rasterio and shapely")
    import rasterio
    import shapely
    from rasterio import features

    of_value = {row.value: row for row in classes}
    try:
        with rasterio.open(str(mask), driver="GTiff") as dataset:
            transform, crs = dataset.transform, dataset.crs
            band = features.shapes(rasterio.band(dataset, 1), connectivity=4, transform=transform)
            world = [(int(value), shapely.geometry.shape(shape)) for shape, value in band if int(value) in of_value]
    except rasterio.errors.RasterioError as error:
        raise PhotoError(f"its mask cannot be read: {error}") from error
    corners = _in_pixels([shape for _, shape in world], transform)
    kept = shaped(
        [(value, shape) for (value, _), shape in zip(world, corners, strict=True)], shaping.outline, shaping.min_area
    )
    outlines = np.array([shape for _, shape in kept], object)
    matrix = np.array([[transform.a, transform.b], [transform.d, transform.e]])
    placed = shapely.transform(outlines, lambda points: points @ matrix.T + (transform.c, transform.f))
    areas = shapely.area(placed)
    if crs is not None and len(placed):
        metres = abs(float(np.linalg.det(matrix))) ** 0.5 * _STEP
        areas = shapely.area(in_system(shapely.segmentize(placed, metres), crs.to_wkt(), _EQUAL_AREA))
    return WorldPolygons(
        [of_value[value] for value, _ in kept], placed, areas.tolist(), None if crs is None else crs.to_wkt()
    )


def _in_pixels(shapes: list[Any], transform: Any) -> Any:  # noqa: ANN401  (shapely and affine ship no types)
    """Return shapes along the pixels' edges in pixels, whole numbers."""
    import shapely

    back = ~transform
    matrix = np.array([[back.a, back.b], [back.d, back.e]])
    return shapely.transform(np.array(shapes, object), lambda points: np.rint(points @ matrix.T + (back.c, back.f)))


def counts_of_raster(mask: Path) -> NDArray[np.int64]:
    """Return the number of pixels of each value of a raster's mask, int64 (256,).

    Raises:
        PhotoError: the mask cannot be read.
    """
    need("rasterio", "rasterio and shapely")
    import rasterio

    counts = np.zeros(256, np.int64)
    try:
        with rasterio.open(str(mask), driver="GTiff") as dataset:
            for _, window in dataset.block_windows(1):
                counts += np.bincount(dataset.read(1, window=window).ravel(), minlength=256)
    except rasterio.errors.RasterioError as error:
        raise PhotoError(f"its mask cannot be read: {error}") from error
    return counts


def in_system(shapes: Any, crs: str, other: str) -> Any:  # noqa: ANN401  (shapely ships no types)
    """Return an array of shapes in another coordinate system, each corner by itself."""
    import shapely
    from rasterio import warp

    def turned(points: Any) -> Any:  # noqa: ANN401  (as above)
        return np.column_stack(warp.transform(crs, other, points[:, 0], points[:, 1]))

    return shapely.transform(shapes, turned)
