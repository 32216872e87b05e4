"""The whole way from a published-style checkpoint to scores, against masks that the original code made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One photograph, already of the size that the protocol cuts, so that any mask of the original can be its label."""
    (tmp_path / "data" / "imgs" / "val").mkdir(parents=True)
    (tmp_path / "data" / "labels" / "val").mkdir(parents=True)
    with Image.open(GOLDEN / "coffee.png") as photo:
        resized = photo.convert("RGB").resize((480, 320), Image.Resampling.NEAREST)
        resized.crop((80, 0, 400, 320)).save(tmp_path / "data" / "imgs" / "val" / "coffee.png")
    return tmp_path / "data"


@pytest.mark.slow
def test_every_variant_of_an_imported_checkpoint_gives_the_masks_of_the_original(
    data: Path, tmp_path: Path, stego, imported
) -> None:
    model = imported.model
    for variant in ("cluster", "linear", "cluster_crf", "linear_crf"):
        shutil.copy(GOLDEN / f"coffee_{variant}.png", data / "labels" / "val" / "coffee.png")
        ended = stego("evaluate", data, "--model", model, "--classes", "cocostuff27", "--json", "out.json")
        assert ended.returncode == 0, ended.stderr
        figures = json.loads((tmp_path / "out.json").read_text())
        assert figures[variant]["accuracy"] >= 99.99, variant
    segmented = stego("segment", data / "imgs" / "val", "--out", "m", "--model", model, "--probe", "linear")
    assert segmented.returncode == 0, segmented.stderr
    with Image.open(tmp_path / "m" / "coffee.png") as mask, Image.open(GOLDEN / "coffee_linear_crf.png") as wanted:
        assert (np.asarray(mask) == np.asarray(wanted)).mean() >= 0.995
    unknown = stego("segment", data / "imgs" / "val", "--out", "n", "--model", model, "--probe", "other")
    assert unknown.returncode == 2
