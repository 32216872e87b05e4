"""GeoPackage: `masks.gpkg`, a layer of polygons for each raster, in the raster's own coordinates."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from stego_cli.classes_toml import hexadecimal
from stego_cli.errors import OutputError, PhotoError
from stego_cli.gallery.formats.common import ClassRow, PhotoLabels, Shaping, need, place_photo
from stego_cli.gallery.formats.world import WorldPolygons, world_polygons
from stego_cli.text import shown

FILE = "masks.gpkg"


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, WorldPolygons]:
    """Return the polygons of one raster.

    Raises:
        PhotoError: it is no raster, or has no coordinate system.
    """
    need("pyogrio", "pyogrio")
    if photo.raster is None:
        raise PhotoError("a photograph, which has no coordinates; geojson takes it in pixels")
    found = world_polygons(photo.raster, classes, shaping)
    if found.crs is None:
        raise PhotoError("a raster without coordinates; geojson takes it in pixels")
    return photo, found


def write(
    encoded: Iterable[tuple[PhotoLabels, WorldPolygons]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write the file.

    Raises:
        OutputError: it cannot be written.
    """
    import pyogrio

    temporary = out / f".stego-{uuid.uuid4().hex[:16]}.tmp.gpkg"
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00Z"})  # the same masks, the same bytes
    try:
        for photo, found in encoded:
            _write_layer(temporary, photo.stem, found)
            if shaping.with_photos:
                place_photo(photo, out, f"{photo.stem}{Path(photo.path).suffix}")
        if temporary.exists():
            temporary.replace(out / FILE)
    except (OSError, pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise OutputError(f"{shown(out / FILE)} cannot be written: {error}.", "Free some space.") from error
    finally:
        temporary.unlink(missing_ok=True)
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def _write_layer(file: Path, layer: str, found: WorldPolygons) -> None:
    import pyogrio
    import shapely

    columns = [
        np.array([row.name for row in found.rows], object),
        np.array([row.value for row in found.rows], np.int32),
        np.array([hexadecimal(row.colour) for row in found.rows], object),
        np.array(found.areas, np.float64),
    ]
    pyogrio.raw.write(
        str(file),
        shapely.to_wkb(found.shapes),
        columns,
        ["class", "value", "colour", "area_m2"],
        layer=layer,
        driver="GPKG",
        geometry_type="Polygon",
        crs=found.crs,
        append=file.exists(),
    )
