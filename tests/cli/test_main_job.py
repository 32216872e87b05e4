"""The commands as a user gives them, on real photographs with the real backbone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

PHOTOS = ("cat", "harbour", "lake")  # benchmarks/checks discovers classes in all of tests/photos


@pytest.fixture(scope="module")
def masks(photos_folder: Path, tmp_path_factory: pytest.TempPathFactory, real_weights: Path) -> Path:
    """The README's main job: `stego segment photos --out masks`, with all of its defaults."""
    folder = tmp_path_factory.mktemp("main")
    (folder / "photos").mkdir()
    for name in PHOTOS:
        shutil.copy(photos_folder / f"{name}.jpg", folder / "photos")
    ended = subprocess.run(
        [sys.executable, "-m", "stego_cli", "segment", "photos", "--out", "masks", "--overlay", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    (folder / "log.ndjson").write_text(ended.stdout)
    (folder / "said.txt").write_text(ended.stderr)
    return folder / "masks"


def test_every_photograph_has_a_palette_mask_of_its_own_size(masks: Path, photos_folder: Path) -> None:
    assert sorted(path.name for path in masks.glob("*.png")) == [f"{name}.png" for name in PHOTOS]
    for name in PHOTOS:
        with Image.open(masks / f"{name}.png") as mask, Image.open(photos_folder / f"{name}.jpg") as photo:
            assert (mask.mode, mask.size) == ("P", photo.size)


def test_standard_output_is_json_lines_and_people_read_the_rest(masks: Path) -> None:
    events = [json.loads(line) for line in (masks.parent / "log.ndjson").read_text().splitlines()]
    done = [event for event in events if event["event"] == "photograph"]
    assert [event["status"] for event in done] == ["done"] * len(PHOTOS)
    summary = events[-1]
    assert (summary["event"], summary["done"], summary["failed"]) == ("summary", len(PHOTOS), 0)
    assert abs(sum(summary["shares"].values()) - 1) < 0.01
    said = (masks.parent / "said.txt").read_text()
    assert "No model given: discovering classes" in said
    assert "photographs" in said
    assert "\x1b" not in said


def test_a_second_run_uses_the_model_and_does_only_what_is_missing(masks: Path, stego) -> None:
    copy = masks.parent / "again"
    shutil.copytree(masks, copy)
    before = {path.name: path.read_bytes() for path in copy.glob("*.png")}
    (copy / "cat.png").unlink()
    (copy / "lake.png").write_bytes(b"altered")
    ended = stego("segment", masks.parent / "photos", "--out", copy, "--json")
    assert ended.returncode == 0, ended.stderr
    assert "Using the model discovered before" in ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert sorted(e["path"] for e in events if e["event"] == "photograph") == ["cat.jpg", "lake.jpg"]
    assert {path.name: path.read_bytes() for path in copy.glob("*.png")} == before


def test_train_export_and_segment_follow_each_other(
    stego, tmp_path: Path, photos_folder: Path, real_weights: Path
) -> None:
    some = tmp_path / "some" / "deep"
    some.mkdir(parents=True)
    for name in ("cat", "lake", "otters"):
        shutil.copy(photos_folder / f"{name}.jpg", some)
    few = ("--steps", 20, "--res", 112, "--block", 1)  # the export of all blocks is tested with discovered classes
    trained = stego("train", "some", "--out", "run", "--classes", 5, *few)
    assert trained.returncode == 0, trained.stderr
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.name[0] != ".") == [
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
    ]
    exported = stego("export-onnx")
    assert exported.returncode == 0, exported.stderr
    assert "Exporting run" in exported.stderr
    segmented = stego("segment", "some", "--out", "masks")
    assert segmented.returncode == 0, segmented.stderr
    assert "Model stego.onnx (5 classes) on cpu" in segmented.stderr
    assert sorted(str(path.relative_to(tmp_path / "masks")) for path in (tmp_path / "masks").rglob("*.png")) == [
        "deep/cat.png",
        "deep/lake.png",
        "deep/otters.png",
    ]
    again = stego("train", "some", "--out", "run")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_a_corrupt_photograph_is_named_and_the_rest_is_done(
    stego, tmp_path: Path, photos_folder: Path, tiny_model: Path
) -> None:
    (tmp_path / "some").mkdir()
    shutil.copy(photos_folder / "cat.jpg", tmp_path / "some")
    (tmp_path / "some" / "broken.jpg").write_bytes((photos_folder / "lake.jpg").read_bytes()[:9000])
    ended = stego("segment", "some", "--out", "masks", "--model", tiny_model)
    assert ended.returncode == 3
    assert "broken.jpg" in ended.stderr
    assert [path.name for path in (tmp_path / "masks").glob("*.png")] == ["cat.png"]
