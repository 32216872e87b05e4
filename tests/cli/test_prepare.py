"""`stego prepare` as a user starts it, and how the other commands take what it made."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import export
from stego_cli.classes import TABLES
from stego_cli.settings import TrainSettings
from stego_cli.tasks import discover
from stego_cli.tasks.train import TrainTask
from stego_cli.training import linear_probe
from stego_cli.training.linear_probe import fit_linear_probe
from tests.support import archives


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return archives.as_tar(archives.voc_files(), tmp_path / "T.tar")


def test_voc_from_its_archive_says_what_it_made_and_the_second_time_nothing(voc, stego, tmp_path) -> None:
    ended = stego("prepare", "voc2012", "--source", "T.tar", "--out", "voc", "--json")
    assert ended.returncode == 0, ended.stderr
    last = json.loads(ended.stdout.splitlines()[-2])
    assert last["event"] == "prepared"
    assert last["splits"] == {"train": {"photographs": 3, "labels": 3}, "val": {"photographs": 2, "labels": 2}}
    assert "aeroplane" in ended.stderr
    assert "void" in ended.stderr
    before = archives.contents(tmp_path / "voc")
    ended = stego("prepare", "voc2012", "--source", "T.tar", "--out", "voc")
    assert (ended.returncode, ended.stderr) == (0, "voc is prepared already; nothing to do.\n")
    assert archives.contents(tmp_path / "voc") == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("prepare", "imagenet", "--out", "x"), 2, "NAME: must be one of voc2012"),
        (("prepare", "cityscapes", "--out", "x"), 2, "cityscapes-dataset.com"),
        (("prepare", "potsdam3", "--out", "x", "--download"), 2, "ISPRS"),
        (("prepare", "voc2012", "--out", "x", "--mirror", "http://a"), 2, "Give --download too."),
        (("prepare", "voc2012", "--out", "x", "--source", "nowhere"), 4, "does not exist"),
        (("prepare", "cityscapes", "--out", "x", "--source", "T.tar"), 4, "is not Cityscapes"),
        (("prepare", "voc2012", "--out", "T.tar", "--source", "T.tar"), 2, "something else"),
        (("prepare", "voc2012", "--out", "T.tar/x", "--source", "T.tar"), 6, "cannot be written"),
        (("prepare", "folder", "--out", "x", "--source", "T.tar", "--classes", "nothing"), 2, "--classes"),
    ],
)
def test_exit_codes(voc, stego, tmp_path, arguments, code, words) -> None:
    ended = stego(*arguments)
    assert ended.returncode == code, ended.stderr
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == [voc]


def test_a_dry_run_says_what_and_how_much_and_does_nothing(voc, stego, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    ended = stego("prepare", "cocostuff27", "--download", "--out", "coco", "--dry-run")
    assert ended.returncode == 0, ended.stderr
    for word in ("train2017.zip", "19.34 GB", "val2017.zip", "0.82 GB", "stuffthingmaps_trainval2017.zip", "about"):
        assert word in ended.stdout
    assert "20.84 GB would be fetched" in ended.stderr
    ended = stego("prepare", "voc2012", "--source", "T.tar", "--out", "voc", "--dry-run", "--limit", "2")
    assert ended.returncode == 0, ended.stderr
    assert [line.split() for line in ended.stdout.splitlines()[1:]] == [["train", "2"], ["val", "2"]]
    assert list(tmp_path.iterdir()) == [voc]


def test_failed_photographs_are_listed_and_end_with_3(stego, tmp_path) -> None:
    files = {"a.jpg": archives.jpeg((24, 16), 1), "b.jpg": b"", "c.jpg": archives.jpeg((24, 16), 2)}
    archives.as_folder(files, tmp_path / "photos")
    ended = stego("prepare", "folder", "--source", "photos", "--out", "mine")
    assert ended.returncode == 3
    assert "/b: the file is empty" in ended.stderr
    assert len(list((tmp_path / "mine/imgs").rglob("*.jpg"))) == 2


@pytest.fixture
def colours(tmp_path: Path, flip_model: Path) -> Path:
    """A data set whose classes the tiny model tells apart, prepared from a folder with a palette file."""
    own = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)], dtype=np.uint8)
    files = {}
    for index in range(6):
        blocks = np.random.default_rng(index).integers(0, 4, (3, 4)).repeat(20, axis=0).repeat(20, axis=1)
        split = "val" if index < 2 else "train"
        files[f"imgs/{split}/{index}.png"] = archives.png(own[blocks])
        files[f"labels/{split}/{index}.png"] = archives.png(own[(blocks + 1) % 4])
    archives.as_folder(files, tmp_path / "given")
    (tmp_path / "palette.txt").write_text("255 0 0 rose\n0 255 0 leaf\n0 0 255 lake\n0 0 0 soil\n")
    shutil.copy(flip_model, tmp_path / "stego.onnx")
    return tmp_path


def test_segment_score_and_evaluate_need_no_flag_that_the_data_set_tells(colours, stego, tmp_path) -> None:
    ended = stego("prepare", "folder", "--source", "given", "--palette", "palette.txt", "--out", "mine")
    assert ended.returncode == 0, ended.stderr
    ended = stego("segment", "mine", "--out", "masks", "--no-crf", "--res", "56")
    assert ended.returncode == 0, ended.stderr
    assert "labels/ holds labels" in ended.stderr
    found = {str(path.relative_to(tmp_path / "masks")) for path in (tmp_path / "masks").rglob("*.png")}
    assert found == {"val/0.png", "val/1.png", *(f"train/{index}.png" for index in range(2, 6))}
    for pred, gt in (("masks", "mine"), ("masks/val", "mine/labels/val")):
        ended = stego("score", "--pred", pred, "--gt", gt, "--json", "score.json", "--report", "report.html")
        assert ended.returncode == 0, ended.stderr
        written = json.loads((tmp_path / "score.json").read_text())
        assert [each["name"] for each in written["per_class"]] == ["rose", "leaf", "lake", "soil"]
        assert (written["images"], written["failed"]) == (2, 0)
        assert written["accuracy"] > 90
        page = (tmp_path / "report.html").read_text()
        assert "rgb(255, 0, 0)" in page
        assert 'alt="photograph of 0"' in page
    ended = stego("score", "--pred", "masks", "--gt", "mine/labels", "--json", "-", "--no-boundary")
    assert json.loads(ended.stdout)["images"] == 6
    ended = stego("evaluate", "mine", "--no-crf", "--json", "evaluation.json")
    assert ended.returncode == 0, ended.stderr
    assert "Evaluating stego.onnx" in ended.stderr
    scores = json.loads((tmp_path / "evaluation.json").read_text())
    assert [each["name"] for each in scores["cluster"]["per_class"]] == ["rose", "leaf", "lake", "soil"]


def test_evaluated_without_a_model_one_is_trained_with_the_data_sets_classes(
    voc, stego, tmp_path, photos_folder, flip_model, real_weights, monkeypatch
) -> None:
    files, names = archives.voc_files(), (*archives.VOC_TRAIN, *archives.VOC_VAL)
    for name, photo in zip(names, sorted(photos_folder.glob("*.jpg")), strict=False):
        with Image.open(photo) as image:
            files[f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg"] = photo.read_bytes()
            label = archives.png(archives.voc_label(image.size, len(name)), archives.voc_palette())
            files[f"VOCdevkit/VOC2012/SegmentationClass/{name}.png"] = label
    archives.as_tar(files, voc)
    stego("prepare", "voc2012", "--source", "T.tar", "--out", "voc")
    quick = functools.partial(TrainTask, training=TrainSettings(steps=1, res=56, restarts=1, block=1))
    monkeypatch.setattr(discover, "TrainTask", quick)
    monkeypatch.setattr(linear_probe, "fit_linear_probe", functools.partial(fit_linear_probe, steps=3))
    # The export has its own tests and takes most of the time.
    monkeypatch.setattr(export, "export_onnx", lambda run, target, how, ui: shutil.copy(flip_model, target))
    ended = stego("evaluate", "voc", "--no-crf", "--json", "evaluation.json")
    assert ended.returncode == 0, ended.stderr
    scores = json.loads((tmp_path / "evaluation.json").read_text())
    assert [each["name"] for each in scores["cluster"]["per_class"]] == list(TABLES["voc2012"].names)
    assert "MaskDistill" in ended.stdout  # the published figures of this data set
    config = json.loads((tmp_path / "voc-run/config.json").read_text())
    assert config["settings"]["classes"] == 21
    assert config["linear_names"][20] == "tv monitor"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_help_loads_nothing_heavy(tmp_path) -> None:
    code = (
        "import sys; sys.argv = ['stego', 'prepare', '--help']\n"
        "from stego_cli.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *(name for name in ('numpy', 'PIL', 'scipy', 'torch') if name in sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Examples:" in ended.stdout
    assert ended.stdout.strip().endswith("LOADED")
