"""Regions to polygons and back.

Outlines run along the pixels' edges (pixel (0, 0) covers 0 to 1 in x and y), so that without a tolerance they give the
very same pixels back. All outlines of a photograph are simplified together: neighbours keep one common border, and
neither gaps nor overlaps open between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stego_cli.classes import VOID
from stego_cli.gallery.formats.common import Labels, need

if TYPE_CHECKING:
    from shapely import Polygon

Ring = list[tuple[float, float]]
_DIGITS = 2  # of a coordinate, after the point


def polygons(labels: Labels, tolerance: float, min_area: float) -> list[tuple[int, Polygon]]:
    """Return (class, polygon) of every region of pixels that touch along edges, holes included, the largest first.

    Args:
        labels: uint8 (H, W); 255 is no class.
        tolerance: pixels; 0: along the pixels' edges.
        min_area: pixels; smaller regions are left out, smaller holes filled.
    """
    need("rasterio", "rasterio and shapely")
    import shapely
    from rasterio import features

    found = [
        (int(value), shapely.geometry.shape(geometry)) for geometry, value in features.shapes(labels, labels != VOID, 4)
    ]
    return shaped(found, tolerance, min_area)


def shaped(found: Sequence[tuple[int, Polygon]], tolerance: float, min_area: float) -> list[tuple[int, Polygon]]:
    """Return regions with simpler outlines, without those that are too small: see `polygons`.

    Args:
        found: (class, polygon) of every region, along the pixels' edges, in pixels.
        tolerance: pixels; `min_area`: pixels.
    """
    import shapely

    shapes = np.array([shape for _, shape in found], object)
    if tolerance and len(shapes):
        # Every corner of a neighbour must be a corner of the region too: then a border is one line for both.
        shapes = shapely.coverage_simplify(shapely.segmentize(shapes, 1.0), tolerance)
    kept = []
    for (value, _), shape in zip(found, shapes, strict=True):
        filled = _filled(shape, min_area)
        if not filled.is_empty and filled.area >= min_area:
            kept.append((value, filled))
    return sorted(kept, key=lambda each: -each[1].area)


def _filled(shape: Polygon, min_area: float) -> Polygon:
    import shapely

    holes = [ring for ring in shape.interiors if shapely.Polygon(ring).area >= min_area]
    return shape if len(holes) == len(shape.interiors) else shapely.Polygon(shape.exterior, holes)


def without_holes(shape: Polygon) -> list[Polygon]:
    """Return polygons without holes that cover the same: cut through each hole, for formats that have none."""
    import shapely

    if not shape.interiors:
        return [shape]
    left, _, right, _ = shape.interiors[0].bounds
    low_x, low_y, high_x, high_y = shape.bounds
    cut = (left + right) / 2
    pieces = []
    for half in (shapely.box(low_x, low_y, cut, high_y), shapely.box(cut, low_y, high_x, high_y)):
        for part in shapely.get_parts(shape.intersection(half)):
            if part.geom_type == "Polygon" and part.area > 0:
                pieces += without_holes(part)
    return pieces


def ring(line: Iterable[Sequence[float]]) -> Ring:
    """Return the corners of a closed outline, the first not repeated at the end."""
    corners = [(round(float(point[0]), _DIGITS), round(float(point[1]), _DIGITS)) for point in line]
    return corners[:-1] if len(corners) > 1 and corners[0] == corners[-1] else corners


def paint(shapes: Iterable[tuple[int, Sequence[Ring]]], height: int, width: int) -> Labels:
    """Return labels of polygons: (class, [outline, hole, ...]); the last lies above; 255 where none is."""
    need("rasterio", "rasterio and shapely")
    from rasterio import features

    geometries = [
        ({"type": "Polygon", "coordinates": [[*line, line[0]] for line in rings]}, value)
        for value, rings in shapes
        if rings and all(len(line) >= 3 for line in rings)
    ]
    if not geometries:
        return np.full((height, width), VOID, np.uint8)
    labels: Labels = features.rasterize(geometries, (height, width), fill=VOID, dtype=np.uint8)
    return labels
