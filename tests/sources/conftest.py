"""Rasters of flat colours, whose labels by the tiny model are known for every pixel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import rasterio
from rasterio.transform import Affine

from stego_cli.inference.contract import METADATA_KEY

TURNED = Affine.translation(500_000, 5_800_000) @ Affine.rotation(20) @ Affine.scale(0.5, -0.5)
UPRIGHT = Affine.translation(500_000, 5_800_000) @ Affine.scale(0.5, -0.5)
COLOURS = np.array([[220, 20, 20], [20, 220, 20], [20, 20, 220], [20, 20, 20]], np.uint8)  # red, green, blue, dark


def fields(height: int, width: int, side: int = 90) -> np.ndarray:
    """Labels of squares, uint8 (H, W), that repeat nowhere near the distance of two windows."""
    rows, columns = np.mgrid[:height, :width] // side
    return ((rows * rows + 3 * columns + rows * columns) % 4).astype(np.uint8)


def write_raster(file: Path, labels: np.ndarray, **profile: object) -> None:
    """Write a raster of the colours of labels."""
    bands = np.moveaxis(COLOURS[labels], 2, 0)
    usual = {"crs": "EPSG:25832", "transform": UPRIGHT, "tiled": True, "blockxsize": 256, "blockysize": 256}
    profile = {**usual, "driver": "GTiff", "dtype": "uint8", "count": len(bands), **profile}
    with rasterio.open(file, "w", height=labels.shape[0], width=labels.shape[1], **profile) as raster:
        raster.write(bands)


def write_model(file: Path, tiny_model: Path, **known: object) -> None:
    """Write the tiny model as one that was trained on rasters of which it knows something."""
    model = onnx.load(tiny_model)
    about = json.loads(model.metadata_props[0].value)
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps({**about, **known})})
    onnx.save(model, file)


def read_mask(file: Path) -> np.ndarray:
    with rasterio.open(file) as mask:
        return mask.read(1)


@pytest.fixture
def segment(stego, tiny_model: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`segment(given, out, ...)`: the command with the tiny model, without a CRF."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        given, out, *rest = words
        return stego("segment", given, "--out", out, "--model", tiny_model, "--no-crf", "--device", "cpu", *rest)

    return run
