"""`stego segment` on georeferenced rasters: by windows, to GeoTIFFs that lie where the raster lies."""

import json

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp
from PIL import Image
from rasterio.transform import Affine
from shapely.affinity import affine_transform
from shapely.geometry import Polygon, box, mapping

from stego_cli.images.readers.bands import kind_of
from stego_cli.palette import palette
from tests.sources.conftest import COLOURS, TURNED, UPRIGHT, fields, read_mask, write_raster

LABELS = fields(800, 1100)


def in_world(shape):
    """A shape in pixels of the turned raster, in its coordinates."""
    return affine_transform(shape, [TURNED.a, TURNED.b, TURNED.d, TURNED.e, TURNED.c, TURNED.f])


@pytest.fixture
def town(tmp_path):
    """A folder with a raster of several windows, whose transform is turned."""
    (tmp_path / "in").mkdir()
    write_raster(tmp_path / "in/town.tif", LABELS, transform=TURNED)
    return tmp_path / "in/town.tif"


def test_a_mask_lies_where_its_raster_lies_and_has_a_colour_table_and_overviews(town, segment, tmp_path):
    result = segment(town.parent, tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    with rasterio.open(tmp_path / "masks/town.tif") as mask:
        assert mask.crs == "EPSG:25832"
        assert mask.transform == TURNED
        assert mask.nodata == 255
        assert mask.profile["tiled"]
        assert mask.profile["compress"] == "deflate"
        assert mask.overviews(1) == [2, 4]
        assert [mask.colormap(1)[value][:3] for value in range(4)] == palette(4)
        assert np.array_equal(mask.read(1), LABELS)
    assert not list((tmp_path / "masks/.stego/parts").iterdir())


def test_a_finished_raster_is_not_done_again_and_a_lost_mask_is(town, segment, tmp_path):
    segment(town, tmp_path / "masks")
    before = (tmp_path / "masks/town.tif").read_bytes()
    assert "1 of 1 photographs have their masks already" in segment(town, tmp_path / "masks").stderr
    (tmp_path / "masks/town.tif").write_bytes(b"something else")
    assert segment(town, tmp_path / "masks").returncode == 0
    assert (tmp_path / "masks/town.tif").read_bytes() == before


def test_photographs_and_rasters_of_one_folder_get_masks_of_their_own(town, segment, tmp_path):
    Image.new("RGB", (60, 60), (220, 20, 20)).save(town.with_name("town.jpg"))
    write_raster(town.with_name("town.tiff"), LABELS[:90, :90])
    result = segment(town.parent, tmp_path / "masks", "--json")
    assert result.returncode == 0, result.stderr
    made = sorted(path.name for path in (tmp_path / "masks").iterdir() if path.is_file())
    assert made == ["town.png", "town.tif.tif", "town.tiff.tif"]
    summary = json.loads(result.stdout.splitlines()[-1])
    assert (summary["photographs"], summary["done"]) == (3, 3)


def test_a_box_has_the_labels_that_it_has_in_the_whole(town, segment, tmp_path):
    left, top = UPRIGHT @ (300, 100)
    right, bottom = UPRIGHT @ (900, 350)
    write_raster(town, LABELS)
    result = segment(town, tmp_path / "masks", "--bbox", f"{left},{bottom},{right},{top}")
    assert result.returncode == 0, result.stderr
    with rasterio.open(tmp_path / "masks/town.tif") as mask:
        assert mask.transform == UPRIGHT @ Affine.translation(300, 100)
        assert np.array_equal(mask.read(1), LABELS[100:350, 300:900])


@pytest.mark.parametrize(("crs", "allowed"), [("EPSG:25832", 5), ("EPSG:4326", 100)])  # of 1,900 along the outline
def test_nothing_outside_of_a_polygon_has_a_label(town, segment, tmp_path, crs, allowed):
    outline = Polygon([(200, 150), (700, 90), (600, 700), (150, 500)])
    world = in_world(outline)
    member = {"crs": {"type": "name", "properties": {"name": crs}}} if crs != "EPSG:4326" else {}
    geometry = rasterio.warp.transform_geom("EPSG:25832", crs, mapping(world))
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    (tmp_path / "part.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature], **member}))
    result = segment(town, tmp_path / "masks", "--mask-polygon", tmp_path / "part.geojson")
    assert result.returncode == 0, result.stderr
    inside = rasterio.features.rasterize([outline], (800, 1100)).astype(bool)
    with rasterio.open(tmp_path / "masks/town.tif") as mask:
        shift = ~TURNED @ mask.transform
        left, top = round(shift.c), round(shift.f)
        assert (left, top) == (150, 90)
        whole = np.full((800, 1100), 255, np.uint8)
        whole[top : top + mask.height, left : left + mask.width] = mask.read(1)
    wrong = whole != np.where(inside, LABELS, 255)
    assert wrong.sum() <= allowed


def test_a_part_of_a_geopackage_counts_too(town, segment, tmp_path):
    import sqlite3
    import struct

    world = in_world(box(100, 100, 400, 300))
    with sqlite3.connect(tmp_path / "part.gpkg") as database:
        database.executescript(
            "CREATE TABLE gpkg_spatial_ref_sys (srs_id INTEGER, organization TEXT, organization_coordsys_id INTEGER);"
            "INSERT INTO gpkg_spatial_ref_sys VALUES (25832, 'epsg', 25832);"
            "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INTEGER);"
            "INSERT INTO gpkg_geometry_columns VALUES ('blocks', 'geom', 25832);"
            "CREATE TABLE blocks (fid INTEGER, geom BLOB);"
        )
        envelope = struct.pack("<4d", world.bounds[0], world.bounds[2], world.bounds[1], world.bounds[3])
        blob = b"GP\0\x03" + struct.pack("<i", 25832) + envelope + world.wkb
        database.execute("INSERT INTO blocks VALUES (1, ?)", (blob,))
    database.close()
    assert segment(town, tmp_path / "masks", "--mask-polygon", tmp_path / "part.gpkg").returncode == 0
    assert np.array_equal(read_mask(tmp_path / "masks/town.tif"), LABELS[100:300, 100:400])


def test_a_ground_resolution_decides_the_size_at_which_windows_are_worked(town, segment, tmp_path):
    result = segment(town, tmp_path / "masks", "--res-ground", "1.0")
    assert "1 windows of 1100 x 800" in result.stderr
    found = read_mask(tmp_path / "masks/town.tif")
    assert found.shape == LABELS.shape
    assert (found == LABELS).mean() > 0.97  # borders of the fields are blurred


def test_windows_without_a_value_are_left_out_and_stay_without_a_label(tmp_path, segment):
    labels = fields(1300, 1300)
    bands = COLOURS[labels]
    bands[:, 400:] = 0
    bands[700:] = 0
    profile = {"height": 1300, "width": 1300, "count": 3, "dtype": "uint8", "crs": "EPSG:25832", "transform": UPRIGHT}
    with rasterio.open(tmp_path / "sparse.tif", "w", driver="GTiff", nodata=0, **profile) as raster:
        raster.write(np.moveaxis(bands, 2, 0))
    result = segment(tmp_path / "sparse.tif", tmp_path / "masks", "--json")
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    statuses = [event["status"] for event in events if event["event"] == "part"]
    assert statuses.count("empty") >= 1
    assert statuses.count("done") >= 1
    wanted = np.full((1300, 1300), 255, np.uint8)
    wanted[:700, :400] = labels[:700, :400]
    assert np.array_equal(read_mask(tmp_path / "masks/sparse.tif"), wanted)


def test_a_damaged_block_costs_its_windows_alone(tmp_path, segment):
    labels = fields(1300, 2600)
    file = tmp_path / "town.tif"
    write_raster(file, labels, compress="deflate")
    content = bytearray(file.read_bytes())
    with rasterio.open(file) as raster:
        at = int(
            raster.tags(1, ns="TIFF").get("BLOCK_OFFSET_0_0", 0) or raster.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1)
        )
    content[at : at + 40] = bytes(40)
    file.write_bytes(content)
    result = segment(file, tmp_path / "masks")
    assert result.returncode == 3
    assert result.stderr.count("failed: town.tif#window=") == 1
    assert "failed: town.tif#window=0,0,672,672:" in result.stderr
    found = read_mask(tmp_path / "masks/town.tif")
    assert (found[:300, :400] == 255).all()
    assert np.array_equal(found[:, 700:], labels[:, 700:])
    again = segment(file, tmp_path / "masks")  # what failed is tried again, the rest is there
    assert again.returncode == 3
    assert "are done already" in again.stderr
    assert np.array_equal(read_mask(tmp_path / "masks/town.tif"), found)


def test_a_raster_of_16_bits_has_one_stretch_for_all_its_windows(tmp_path, segment):
    labels = fields(800, 1400)
    bands = np.moveaxis(COLOURS[labels], 2, 0).astype(np.uint16) * 40
    profile = {"height": 800, "width": 1400, "count": 3, "dtype": "uint16", "crs": "EPSG:25832", "transform": UPRIGHT}
    assert kind_of(bands.dtype) == "uint16"
    with rasterio.open(tmp_path / "deep.tif", "w", driver="GTiff", **profile) as raster:
        raster.write(bands)
    result = segment(tmp_path / "deep.tif", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert "Pictures of 16 bits: 0 is shown as black" in result.stderr
    assert json.loads((tmp_path / "masks/.stego/run.json").read_text())["identity"]["reading"]["ranges"]
    assert np.array_equal(read_mask(tmp_path / "masks/deep.tif"), labels)


def test_a_picture_too_large_for_a_photograph_is_worked_in_pixels(tmp_path, segment, monkeypatch):
    monkeypatch.setattr("stego_cli.sources.content.MAX_PIXELS", 100_000)
    Image.fromarray(COLOURS[LABELS]).save(tmp_path / "large.tif")
    result = segment(tmp_path / "large.tif", tmp_path / "masks", "--bbox", "100,50,300,200")
    assert result.returncode == 0, result.stderr
    assert "without coordinates, so in pixels" in result.stderr
    assert np.array_equal(read_mask(tmp_path / "masks/large.tif"), LABELS[50:200, 100:300])


def test_without_rasterio_a_small_raster_is_a_photograph_and_the_extra_is_named(town, segment, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = segment(town, tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert 'pip install "stego-cli[geo]"' in " ".join(result.stderr.split())
    assert (tmp_path / "masks/town.png").is_file()


@pytest.mark.parametrize(
    "option", [("--bbox", "1,2,3"), ("--bbox", "5,2,3,4"), ("--res-ground", "0"), ("--overlap", "0.9")]
)
def test_settings_that_make_no_sense_are_refused(town, segment, tmp_path, option):
    assert segment(town, tmp_path / "masks", *option).returncode == 2
    assert not (tmp_path / "masks").exists()


def test_a_dry_run_counts_the_windows_and_writes_nothing(town, segment, tmp_path):
    result = segment(town, tmp_path / "masks", "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    event = json.loads(result.stdout.splitlines()[-1])
    assert (event["photographs"], event["todo"], event["parts"]) == (1, 1, 4)
    assert event["seconds"] > 0
    assert not (tmp_path / "masks").exists()


VRT = """<VRTDataset rasterXSize="392" rasterYSize="294"><SRS>EPSG:25832</SRS>
<GeoTransform>500000, 0.5, 0, 5800000, 0, -0.5</GeoTransform>{}</VRTDataset>"""
BAND = """<VRTRasterBand dataType="Byte" band="{}"{}><SimpleSource>
<SourceFilename relativeToVRT="1">{}</SourceFilename><SourceBand>{}</SourceBand></SimpleSource></VRTRasterBand>"""


def test_a_vrt_of_geotiffs_is_a_raster(tmp_path, segment):
    write_raster(tmp_path / "town.tif", LABELS[:294, :392])
    (tmp_path / "all.vrt").write_text(VRT.format("".join(BAND.format(i, "", "town.tif", i) for i in (1, 2, 3))))
    result = segment(tmp_path / "all.vrt", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert np.array_equal(read_mask(tmp_path / "masks/all.tif"), LABELS[:294, :392])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("secret.txt", ""),
        ("/vsicurl/http://127.0.0.1:9/town.tif", ""),
        ("&lt;GDAL_WMS&gt;&lt;Service name='TMS'/&gt;&lt;/GDAL_WMS&gt;", ""),
        ("town.tif", ' subClass="VRTDerivedRasterBand"'),
        ("town.tif", ' subClass="VRTRawRasterBand"'),
    ],
)
def test_a_vrt_of_anything_else_is_refused(tmp_path, segment, name, kind):
    write_raster(tmp_path / "town.tif", LABELS[:294, :392])
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "all.vrt").write_text(VRT.format(BAND.format(1, kind, name, 1)))
    result = segment(tmp_path / "all.vrt", tmp_path / "masks")
    assert result.returncode == 3
    assert "failed: all.vrt: a VRT" in result.stderr


def test_one_raster_cannot_be_divided_by_shards_and_boxes_that_meet_fit_to_the_pixel(town, segment, tmp_path):
    refused = segment(town.parent, tmp_path / "masks", "--shard", "1/2")
    assert refused.returncode == 2
    assert "town.tif is one file" in " ".join(refused.stderr.split())
    assert "--bbox" in refused.stderr
    assert not (tmp_path / "masks").exists()
    write_raster(town, LABELS)
    left, top = UPRIGHT @ (0, 0)
    middle, bottom = UPRIGHT @ (517, 800)
    right, _ = UPRIGHT @ (1100, 0)
    for name, limits in (("west", (left, bottom, middle, top)), ("east", (middle, bottom, right, top))):
        assert segment(town, tmp_path / name, "--bbox", ",".join(map(str, limits))).returncode == 0
    found = np.concatenate([read_mask(tmp_path / f"{name}/town.tif") for name in ("west", "east")], 1)
    assert np.array_equal(found, LABELS)
