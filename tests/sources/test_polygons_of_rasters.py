"""Masks of rasters to polygons: where they lie in the world, and how large they are."""

import csv
import json

import numpy as np
import pyogrio
import pytest
import rasterio.features
import rasterio.warp
import shapely
from shapely.affinity import affine_transform

from stego_cli.sources.polygon_files import read_polygons
from tests.sources.conftest import TURNED, fields, write_raster

LABELS = fields(294, 392)  # whole patches, so that the labels are these to the pixel


@pytest.fixture
def masks(tmp_path, segment):
    """The mask of a raster whose transform is turned."""
    write_raster(tmp_path / "town.tif", LABELS, transform=TURNED)
    assert segment(tmp_path / "town.tif", tmp_path / "masks").returncode == 0
    return tmp_path / "masks"


def painted(shapes, values):
    """The labels of shapes in the raster's coordinates."""
    back = ~TURNED
    matrix = [back.a, back.b, back.d, back.e, back.c, back.f]
    pairs = [(affine_transform(shape, matrix), value) for shape, value in zip(shapes, values, strict=True)]
    return rasterio.features.rasterize(pairs, LABELS.shape, fill=255, dtype="uint8")


def test_geojson_lies_where_the_raster_lies_and_has_areas_on_the_ground(masks, stego, tmp_path):
    assert stego("convert", masks, "--to", "geojson", "--out", tmp_path / "out", "--tolerance", 0).returncode == 0
    collection = json.loads((tmp_path / "out/town.geojson").read_text())
    features = collection["features"]
    assert "crs" not in collection  # degrees, as RFC 7946 wants
    assert all(shapely.geometry.shape(each["geometry"]).exterior.is_ccw for each in features)
    local = [rasterio.warp.transform_geom("EPSG:4326", "EPSG:25832", each["geometry"]) for each in features]
    shapes = [shapely.geometry.shape(each) for each in local]
    assert (painted(shapes, [each["properties"]["value"] for each in features]) == LABELS).mean() > 0.9999
    for shape, feature in zip(shapes, features, strict=True):
        # The map's scale at its central meridian is 0.9996.
        assert feature["properties"]["area_m2"] == pytest.approx(shape.area / 0.9996**2, rel=2e-4)


def test_geopackage_keeps_the_coordinates_of_the_raster_and_is_the_same_again(masks, stego, tmp_path):
    for name in ("out", "again"):
        assert stego("convert", masks, "--to", "gpkg", "--out", tmp_path / name, "--tolerance", 0).returncode == 0
    file = tmp_path / "out/masks.gpkg"
    assert file.read_bytes() == (tmp_path / "again/masks.gpkg").read_bytes()
    about, _, geometries, columns = pyogrio.raw.read(file, layer="town")
    assert about["crs"] == "EPSG:25832"
    fields_of = dict(zip(about["fields"], columns, strict=True))
    assert np.array_equal(painted(shapely.from_wkb(geometries), fields_of["value"]), LABELS)
    assert set(fields_of["class"]) == {"red", "green", "blue", "dark"}
    assert fields_of["area_m2"].sum() == pytest.approx(294 * 392 * 0.25, rel=1e-3)
    back = read_polygons(file)  # as --mask-polygon reads it
    assert (back.crs, len(back.geometries)) == ("EPSG:25832", len(geometries))


def test_other_formats_say_that_it_is_a_raster_and_csv_counts_it(masks, stego, tmp_path):
    refused = stego("convert", masks, "--to", "coco", "--out", tmp_path / "coco")
    assert refused.returncode == 3
    assert "the mask of a raster" in " ".join(refused.stderr.split())
    assert stego("convert", masks, "--to", "csv", "--out", tmp_path / "csv").returncode == 0
    rows = list(csv.DictReader((tmp_path / "csv/areas.csv").read_text().splitlines()))
    assert [int(row["pixels"]) for row in rows] == [int((value == LABELS).sum()) for value in range(4)]
