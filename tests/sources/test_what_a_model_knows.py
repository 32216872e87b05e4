"""Bands by name, and the ground resolution: asked for, kept in a run and in a model, and used on other rasters."""

from __future__ import annotations

import json

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from stego_cli.errors import ModelError
from stego_cli.inference.contract import ModelInfo, metadata_text, parse_metadata
from stego_cli.model.checkpoint import load_checkpoint
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.settings import TrainSettings
from stego_cli.sources.region import pixel_size
from stego_cli.tasks.train import TrainTask, train
from tests.sources.conftest import COLOURS, UPRIGHT, fields, read_mask, write_model, write_raster

LABELS = fields(294, 392)


def write_four(file, order, described=True):
    """A raster of four bands: those of the colours, called nir, red and green, and one of noise, in some order."""
    planes = dict(zip(("nir", "red", "green"), np.moveaxis(COLOURS[LABELS], 2, 0), strict=True))
    planes["swir"] = np.random.default_rng(0).integers(0, 256, LABELS.shape, np.uint8)
    profile = {"height": 294, "width": 392, "count": 4, "dtype": "uint8", "crs": "EPSG:25832", "transform": UPRIGHT}
    with rasterio.open(file, "w", driver="GTiff", photometric="minisblack", **profile) as raster:
        raster.write(np.stack([planes[name] for name in order]))
        if described:
            raster.descriptions = order
        else:
            raster.colorinterp = [ColorInterp[name] for name in order]


@pytest.mark.parametrize("described", [True, False])
def test_bands_are_found_by_name_in_whatever_order_they_are(segment, tmp_path, described):
    (tmp_path / "in").mkdir()
    write_four(tmp_path / "in/a.tif", ("nir", "red", "green", "swir"), described)
    write_four(tmp_path / "in/b.tif", ("swir", "green", "nir", "red"), described)
    result = segment(tmp_path / "in", tmp_path / "masks", "--bands", "NIR, red,green")
    assert result.returncode == 0, result.stderr
    assert np.array_equal(read_mask(tmp_path / "masks/a.tif"), LABELS)
    assert np.array_equal(read_mask(tmp_path / "masks/b.tif"), LABELS)
    kept = json.loads((tmp_path / "masks/.stego/run.json").read_text())
    assert kept["identity"]["reading"]["bands"] == ["NIR", "red", "green"]
    again = segment(tmp_path / "in", tmp_path / "masks", "--bands", "NIR,red,green")
    assert "2 of 2 photographs have their masks already" in again.stderr


def test_a_name_that_no_band_has_lists_those_that_there_are(segment, tmp_path):
    write_four(tmp_path / "a.tif", ("nir", "red", "green", "swir"))
    result = segment(tmp_path / "a.tif", tmp_path / "masks", "--bands", "thermal")
    assert result.returncode == 3
    said = " ".join(result.stderr.split())
    assert "it has no band of the name thermal" in said
    assert "1 (nir or gray), 2 (red), 3 (green), 4 (swir)" in said.replace(" or undefined", "")
    write_four(tmp_path / "b.tif", ("nir", "red", "red", "swir"))
    assert "2 of its bands are named red" in segment(tmp_path / "b.tif", tmp_path / "b", "--bands", "red").stderr
    assert segment(tmp_path / "a.tif", tmp_path / "c", "--bands", "nir,red").returncode == 2


def test_photographs_have_the_names_of_their_colours(segment, tmp_path):
    Image.fromarray(COLOURS[LABELS][..., [2, 0, 1]]).save(tmp_path / "photo.png")
    result = segment(tmp_path / "photo.png", tmp_path / "masks", "--bands", "green,blue,red", "--res", 294)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "masks/photo.png") as mask:
        assert np.array_equal(np.asarray(mask), LABELS)
    Image.fromarray(LABELS * 80).save(tmp_path / "grey.png")
    refused = segment(tmp_path / "grey.png", tmp_path / "grey", "--bands", "red")
    assert "its bands have no names" in " ".join(refused.stderr.split())


def test_a_model_shows_other_rasters_the_bands_and_the_resolution_of_its_own(stego, tiny_model, tmp_path):
    write_model(tmp_path / "town.onnx", tiny_model, bands=["nir", "red", "green"], res_ground=1.0)
    write_four(tmp_path / "a.tif", ("swir", "green", "nir", "red"))
    words = ("segment", tmp_path / "a.tif", "--model", tmp_path / "town.onnx", "--no-crf", "--device", "cpu")
    result = stego(*words, "--out", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert "Rasters are worked at 1 m a pixel, as where the model was trained" in " ".join(result.stderr.split())
    assert (read_mask(tmp_path / "masks/a.tif") == LABELS).mean() > 0.95  # at half its size
    assert json.loads((tmp_path / "masks/.stego/run.json").read_text())["identity"]["res_ground"] == 1.0
    other = stego(*words, "--out", tmp_path / "other", "--res-ground", "0.5")
    assert "The model was trained at 1 m a pixel; 0.5 m were asked for" in " ".join(other.stderr.split())
    assert np.array_equal(read_mask(tmp_path / "other/a.tif"), LABELS)
    write_raster(tmp_path / "plain.tif", LABELS, crs=None)
    words = ("segment", tmp_path / "plain.tif", *words[2:], "--bands", "1,2,3", "--out", tmp_path / "plain")
    assert "worked at its own pixels" in " ".join(stego(*words).stderr.split())
    assert np.array_equal(read_mask(tmp_path / "plain/plain.tif"), LABELS)


def test_a_run_and_a_model_file_keep_them(tmp_path, real_weights):
    write_four(tmp_path / "town.tif", ("swir", "green", "nir", "red"))
    settings = TrainSettings(res=56, steps=0, restarts=1, points=5, classes=2, device="cpu")
    reading, parts = Reading(("nir", "red", "green")), PartSettings(res_ground=2.0)
    train(TrainTask(tmp_path / "town.tif", tmp_path / "run", settings, reading=reading, parts=parts), Quiet())
    made = load_checkpoint(tmp_path / "run").provenance
    assert (made.bands, made.res_ground, made.photographs) == (("nir", "red", "green"), 2.0, 4)  # 224 pixels a side
    info = ModelInfo(1, ("a",), [(1, 2, 3)], 14, 56, "none", False, "fp32", bands=made.bands, res_ground=2.0)
    assert parse_metadata(metadata_text(info), "x.onnx") == info
    for wrong in ({"bands": ["nir", "red"]}, {"bands": ["", 1, 2]}, {"bands": ["x" * 999]}, {"res_ground": -1.0}):
        with pytest.raises(ModelError, match="damaged"):
            parse_metadata(json.dumps({**json.loads(metadata_text(info)), **wrong}), "x.onnx")


@pytest.mark.parametrize(
    ("crs", "transform", "metres"),
    [
        ("EPSG:25832", UPRIGHT, 0.5),
        ("EPSG:2263", Affine.translation(9e5, 2e5) @ Affine.scale(1, -1), 0.3048),  # New York, in feet of the US survey
        ("EPSG:4326", Affine.translation(11, 60) @ Affine.scale(1e-5, -1e-5), 1.1119 * 0.5**0.5),
    ],
)
def test_the_size_of_a_pixel_is_in_metres_whatever_the_unit(tmp_path, crs, transform, metres):
    write_raster(tmp_path / "town.tif", LABELS, crs=crs, transform=transform)
    with rasterio.open(tmp_path / "town.tif") as dataset:
        assert pixel_size(dataset) == pytest.approx(metres, rel=1e-3)
