"""The part of a raster that is wanted: a box, polygons, or all of it, in pixels of the raster."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.part_settings import PartSettings
from stego_cli.sources.polygon_files import read_polygons
from stego_cli.sources.windows import Box

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    Shape = Any  # of shapely, which ships no types


_METRES_A_DEGREE = 111_195  # of a great circle of the earth


@dataclass(frozen=True)
class Region:
    """What is wanted of a raster.

    Attributes:
        box: the pixels that its mask covers.
        shape: in pixels, x right and y down; outside of it the mask has no value. None: no limit but the box.
    """

    box: Box
    shape: Shape | None = None

    def meets(self, box: Box) -> bool:
        """Return whether something of a window is wanted."""
        if self.shape is None:
            return box.meets(self.box)
        from shapely.geometry import box as rectangle

        return bool(self.shape.intersects(rectangle(box.left, box.top, box.right, box.bottom)))

    def outside(self, top: int, rows: int) -> NDArray[np.bool_] | None:
        """Return where rows of the box, from the row `top` of the raster, are not wanted; None: nowhere."""
        if self.shape is None:
            return None
        from affine import Affine
        from rasterio.features import rasterize

        wanted = rasterize(
            [(self.shape, 1)],
            out_shape=(rows, self.box.width),
            transform=Affine.translation(self.box.left, top),
            dtype=np.uint8,
        )
        return np.asarray(wanted == 0)


def region_of(dataset: DatasetReader, parts: PartSettings) -> Region:
    """Return what is wanted of a raster.

    Raises:
        PhotoError: nothing of it is.
        UsageError: the polygons cannot be read.
    """
    whole = Box(0, 0, dataset.height, dataset.width)
    if parts.bbox is None and parts.mask_polygon is None:
        return Region(whole)
    from shapely.geometry import box as rectangle

    shape = rectangle(0, 0, dataset.width, dataset.height)
    limits = shape if parts.bbox is None else _in_pixels(dataset, rectangle(*parts.bbox))
    outline = None
    if parts.mask_polygon is not None:
        outline = _in_pixels(dataset, _polygons(dataset, parts))
        limits = limits.intersection(outline)
    elif not _is_upright(dataset):  # a box of the coordinates lies askew in the picture
        outline = limits
    within = shape.intersection(limits)
    if within.is_empty or within.area == 0:
        raise PhotoError("nothing of it lies in what is asked for")
    left, top, right, bottom = within.bounds
    first = max(0, math.floor(top + 1e-6)), max(0, math.floor(left + 1e-6))
    last = min(dataset.height, math.ceil(bottom - 1e-6)), min(dataset.width, math.ceil(right - 1e-6))
    return Region(Box(*first, last[0] - first[0], last[1] - first[1]), outline)


def pixel_size(dataset: DatasetReader) -> float | None:
    """Return the side of a pixel on the ground, metres; of degrees, in the middle of a raster. None: no coordinates."""
    if dataset.crs is None:
        return None
    side = math.sqrt(abs(dataset.transform.determinant))
    if not dataset.crs.is_geographic:
        return side * float(dataset.crs.linear_units_factor[1])
    _, latitude = dataset.transform @ (dataset.width / 2, dataset.height / 2)
    return side * _METRES_A_DEGREE * math.sqrt(math.cos(math.radians(latitude)))


def _in_pixels(dataset: DatasetReader, shape: Shape) -> Shape:
    from shapely.affinity import affine_transform

    back = ~dataset.transform
    return affine_transform(shape, [back.a, back.b, back.d, back.e, back.c, back.f])


def _is_upright(dataset: DatasetReader) -> bool:
    return bool(dataset.transform.b == 0 and dataset.transform.d == 0)


def _polygons(dataset: DatasetReader, parts: PartSettings) -> Shape:
    """Return the polygons of a file as one shape in the raster's coordinates."""
    from rasterio.errors import CRSError
    from rasterio.warp import transform_geom
    from shapely.geometry import shape
    from shapely.ops import unary_union

    assert parts.mask_polygon is not None
    polygons = read_polygons(parts.mask_polygon)
    geometries = polygons.geometries
    if dataset.crs is not None:
        try:
            geometries = transform_geom(polygons.crs, dataset.crs, geometries)
        except (CRSError, ValueError) as error:
            raise UsageError(
                f"{parts.mask_polygon} is in coordinates that are not known ({polygons.crs}).",
                f"Give another {setting('mask_polygon')}.",
            ) from error
    return unary_union([shape(geometry) for geometry in geometries])
