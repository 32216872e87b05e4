"""GeoJSON: a file for each photograph, a polygon with its holes for each region, in pixels (x right, y down).

Rasters have polygons in degrees of WGS 84, as RFC 7946 wants, with their areas in square metres.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stego_cli.classes_toml import hexadecimal, parse_colour
from stego_cli.errors import PhotoError, UsageError
from stego_cli.gallery.formats.common import (
    ClassRow,
    Imported,
    ImportedPhoto,
    Labels,
    PhotoLabels,
    Shaping,
    place_photo,
    write_file,
)
from stego_cli.gallery.formats.polygons import paint, polygons, ring
from stego_cli.gallery.formats.world import in_system, world_polygons
from stego_cli.text import shown

_WGS_84 = "EPSG:4326"
_DEGREE_DIGITS = 8  # about a millimetre


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, dict[str, Any]]:
    """Return the feature collection."""
    from shapely.geometry.polygon import orient

    if photo.raster is not None:
        return photo, _of_raster(photo, photo.raster, classes, shaping)

    height, width = photo.labels.shape
    features = []
    for value, shape in polygons(photo.labels, shaping.outline, shaping.min_area):
        turned = orient(shape)  # outlines against the clock, holes with it, as RFC 7946 wants
        rings = [ring(line.coords) for line in (turned.exterior, *turned.interiors)]
        row = classes[value]
        features.append(
            {
                "type": "Feature",
                "properties": {
                    "class": row.name,
                    "value": row.value,
                    "colour": hexadecimal(row.colour),
                    "area": round(shape.area, 2),
                },
                "geometry": {"type": "Polygon", "coordinates": [[*line, line[0]] for line in rings]},
            }
        )
    about = {"photograph": photo.path, "width": width, "height": height}
    return photo, {"type": "FeatureCollection", **about, "features": features}


def _of_raster(photo: PhotoLabels, mask: Path, classes: Sequence[ClassRow], shaping: Shaping) -> dict[str, Any]:
    import shapely

    found = world_polygons(mask, classes, shaping)
    shapes = found.shapes if found.crs is None else in_system(found.shapes, found.crs, _WGS_84)
    area = "area" if found.crs is None else "area_m2"
    features = [
        {
            "type": "Feature",
            "properties": {
                "class": row.name,
                "value": row.value,
                "colour": hexadecimal(row.colour),
                area: round(size, 2),
            },
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[round(x, _DEGREE_DIGITS), round(y, _DEGREE_DIGITS)] for x, y in line.coords]
                    for line in (shape.exterior, *shape.interiors)
                ],
            },
        }
        for row, shape, size in zip(found.rows, shapely.orient_polygons(shapes), found.areas, strict=True)
    ]
    return {"type": "FeatureCollection", "raster": photo.path, "features": features}


def write(
    encoded: Iterable[tuple[PhotoLabels, dict[str, Any]]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write the files."""
    for photo, content in encoded:
        write_file(out, f"{photo.stem}.geojson", json.dumps(content).encode())
        if shaping.with_photos:
            place_photo(photo, out, f"{photo.stem}{Path(photo.path).suffix}")


def read(source: Path) -> Imported:
    """Read a folder of files that this tool wrote.

    Raises:
        UsageError: there is none.
    """
    contents = []
    for file in sorted(source.rglob("*.geojson")):
        try:
            content = json.loads(file.read_bytes())
            properties = [feature["properties"] for feature in content["features"]]
            found = {(int(each["value"]), str(each["class"]), parse_colour(each["colour"])) for each in properties}
            contents.append((str(content["photograph"]), content, found))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{shown(file)} is not a file of this tool: {error!r}.") from error
    if not contents:
        raise UsageError(f"There is no GeoJSON file in {shown(source)}.")
    rows = sorted({row for _, _, found in contents for row in found}, key=lambda row: row[:2])
    classes = [ClassRow(name, colour or (0, 0, 0), value) for value, name, colour in rows]
    number = {row.name: index for index, row in enumerate(classes)}
    return Imported(classes, [_photo(path, content, number) for path, content, _ in contents])


def _photo(path: str, content: dict[str, Any], number: dict[str, int]) -> ImportedPhoto:
    def labels() -> Labels:
        try:
            shapes = [
                (
                    number[str(feature["properties"]["class"])],
                    [[(float(x), float(y)) for x, y in line[:-1]] for line in feature["geometry"]["coordinates"]],
                )
                for feature in content["features"]
            ]
            return paint(shapes, int(content["height"]), int(content["width"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PhotoError(f"its polygons are broken: {error!r}") from error

    return ImportedPhoto(path, labels)
