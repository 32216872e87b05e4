"""Polygons of a file: GeoJSON, or a GeoPackage, which is a SQLite database."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stego_cli.errors import UsageError, setting
from stego_cli.part_settings import polygon_bytes

_AREAL = frozenset({"Polygon", "MultiPolygon"})
_WGS_84 = "EPSG:4326"  # what GeoJSON is in (RFC 7946) unless an older member says otherwise
_ENVELOPES = (0, 32, 48, 48, 64)  # bytes, by the kind of envelope in a GeoPackage's geometry


@dataclass(frozen=True)
class Polygons:
    """Polygons as GeoJSON has them, and their coordinate system as rasterio takes it."""

    geometries: list[dict[str, Any]]
    crs: str


def read_polygons(file: Path) -> Polygons:
    """Read all polygons of a file; other geometries are left out.

    Raises:
        UsageError: there are none, or the file is of another format.
    """
    content = polygon_bytes(file)
    try:
        found = _of_geopackage(file) if content.startswith(b"SQLite format 3\0") else _of_geojson(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, sqlite3.Error, struct.error) as error:
        raise UsageError(
            f"{file} is neither GeoJSON nor a GeoPackage: {error}.", f"Give another {setting('mask_polygon')}."
        ) from error
    if not found.geometries:
        raise UsageError(f"There is no polygon in {file}.", f"Give another {setting('mask_polygon')}.")
    return found


def _of_geojson(content: bytes) -> Polygons:
    document = json.loads(content)
    crs = document.get("crs") or {}
    return Polygons(list(_geometries(document)), str(crs.get("properties", {}).get("name", _WGS_84)))


def _geometries(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node["type"] == "FeatureCollection":
        for feature in node["features"]:
            yield from _geometries(feature)
    elif node["type"] == "Feature":
        if node["geometry"]:
            yield from _geometries(node["geometry"])
    elif node["type"] == "GeometryCollection":
        for geometry in node["geometries"]:
            yield from _geometries(geometry)
    elif node["type"] in _AREAL:
        yield node


def _of_geopackage(file: Path) -> Polygons:
    import shapely

    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns").fetchall()
        if len({srs for _, _, srs in tables}) > 1:
            raise ValueError("its layers have different coordinate systems")
        geometries: list[dict[str, Any]] = []
        for table, column, _ in tables:
            quoted = '"{}"'.format(str(column).replace('"', '""')), '"{}"'.format(str(table).replace('"', '""'))
            for (blob,) in database.execute(f"SELECT {quoted[0]} FROM {quoted[1]}"):
                if blob:
                    shape = shapely.from_wkb(_wkb(blob))
                    geometries += _geometries(json.loads(shapely.to_geojson(shape)))
        system = tables[0][2] if tables else 4326
        organisation, code = database.execute(
            "SELECT organization, organization_coordsys_id FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (system,)
        ).fetchone()
    return Polygons(geometries, f"{str(organisation).upper()}:{code}")


def _wkb(blob: bytes) -> bytes:
    """Return a GeoPackage's geometry without the header before it."""
    magic, _, flags = struct.unpack_from("2sBB", blob)
    if magic != b"GP":
        raise ValueError("a geometry of it is broken")
    return blob[8 + _ENVELOPES[flags >> 1 & 7] :]
