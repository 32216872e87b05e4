"""A published-style checkpoint from its import to masks and scores, against masks that the original code made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from stego_cli.crf import refine
from stego_cli.inference.session import Session
from stego_cli.settings import CrfSettings

GOLDEN = Path(__file__).parents[1] / "golden"


class Shell:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def test_an_imported_checkpoint_exports_and_segments_and_gives_the_classes_of_the_original(
    tmp_path: Path, stego, imported
) -> None:
    assert "dino-vits16 (feat), code of width 70, 27 clusters, a linear probe of 27 classes" in imported.stderr
    event = imported.event
    assert (event["run"], event["clusters"], event["linear_classes"]) == ("coco", 27, 27)
    properties = {entry.key: entry.value for entry in onnx.load(imported.model).metadata_props}
    about = json.loads(properties["stego"])
    assert about["class_names"][:2] == ["class 0", "class 1"]
    assert about["linear_class_names"][:2] == ["electronic", "appliance"]
    assert len(about["linear_palette"]) == 27

    # The published evaluation: shorter side 320 by nearest neighbour, centre crop.
    with Image.open(GOLDEN / "coffee.png") as photo:
        crop = photo.convert("RGB").resize((480, 320), Image.Resampling.NEAREST).crop((80, 0, 400, 320))
    session = Session.from_file(imported.model, "cpu")
    coffee = np.array(crop)
    for name, (log_probs,) in zip(("cluster", "linear"), session.run(coffee[None]), strict=True):
        plain, refined = (np.array(Image.open(GOLDEN / f"coffee_{name}{crf}.png")) for crf in ("", "_crf"))
        assert (log_probs.argmax(0) == plain).mean() >= 0.999
        assert (refine(coffee, log_probs, CrfSettings()).argmax(0) == refined).mean() >= 0.995

    crop.save(tmp_path / "coffee.png")
    segmented = stego("segment", "coffee.png", "--out", "masks", "--model", imported.model, "--device", "cpu")
    assert segmented.returncode == 0, segmented.stderr
    with Image.open(tmp_path / "masks" / "coffee.png") as mask, Image.open(GOLDEN / "coffee_cluster_crf.png") as wanted:
        assert (np.array(mask) == np.array(wanted)).mean() >= 0.995


def test_a_malicious_checkpoint_is_refused_and_its_marker_is_not_made(tmp_path: Path, stego) -> None:
    marker = tmp_path / "marker"
    torch.save({"state_dict": {}, "hyper_parameters": Shell(f"touch {marker}")}, tmp_path / "x.ckpt")
    ended = stego("import-checkpoint", "x.ckpt", "--out", "run")
    assert ended.returncode == 5
    assert "asks for posix.system" in ended.stderr or "asks for nt.system" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["x.ckpt"]


def test_what_is_no_checkpoint_ends_with_5_and_a_sentence(tmp_path: Path, stego) -> None:
    (tmp_path / "x.ckpt").write_bytes(b"PK\x03\x04 and no more")
    ended = stego("import-checkpoint", "x.ckpt", "--out", "run")
    assert ended.returncode == 5
    errors = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1
    assert "x.ckpt" in errors[0]
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "run").exists()


def test_its_help_shows_examples_and_loads_no_torch() -> None:
    program = "import sys; sys.argv = ['stego', 'import-checkpoint', '--help']\nfrom stego_cli.app import app\n"
    program += "try: app()\nfinally: assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "Examples:" in ended.stdout


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
