"""`stego classes` as a user types it: on masks, a model, a run and a file."""

import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest

from stego_cli.images.ids import read_ids
from tests.support.command import stego_in

NASTY = "a<b>[red]\n\u202e\x1b[31m"


@pytest.fixture(scope="module")
def made(tiny_model: Path, photos_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    (folder / "photos").mkdir()
    for name in ("cat", "lake"):
        shutil.copy(photos_folder / f"{name}.jpg", folder / "photos")
    words = ("segment", "photos", "--out", "masks", "--model", tiny_model, "--no-crf", "--device", "cpu")
    assert stego_in(folder, *words).returncode == 0
    return folder


@pytest.fixture
def masks(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "masks", tmp_path / "masks")


def test_masks_are_listed_named_joined_and_dropped(stego, masks):
    before = {file.name: read_ids(file) for file in masks.glob("*.png")}
    ended = stego("classes", "list", "--to", "masks", "--json")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["number"] for event in events if event["event"] == "class"] == [0, 1, 2, 3]
    assert sum(event["share"] for event in events if event["event"] == "class") == pytest.approx(1, abs=1e-5)
    assert stego("classes", "name", f"3={NASTY}", "--to", "masks").returncode == 0
    assert stego("classes", "join", "warm=0,1", "--to", "masks").returncode == 0
    ended = stego("classes", "drop", "2", "--to", "masks")
    assert ended.returncode == 0
    assert "warm" in ended.stdout
    assert "a<b>[red]\\n\\u202e\\u001b[31m" in ended.stdout
    values = np.array([0, 0, 255, 3], np.uint8)
    for name, labels in before.items():
        assert np.array_equal(read_ids(masks / name), values[labels])


def test_a_model_and_a_file_are_edited_and_joins_taken_back(stego, tiny_model, tmp_path):
    model = tmp_path / "m.onnx"
    shutil.copy(tiny_model, model)
    assert stego("classes", "join", "warm=red,blue", "--to", "m.onnx").returncode == 0
    assert "warm" in stego("classes", "list", "--to", "m.onnx").stdout
    assert stego("classes", "part", "warm", "--to", "m.onnx").returncode == 0
    (tmp_path / "classes.toml").write_text("format = 1\nclasses = 4\n[class.1]\njoins = [3]\n")
    assert stego("classes", "colour", "0=#010203", "--to", "classes.toml").returncode == 0
    assert tomllib.loads((tmp_path / "classes.toml").read_text())["class"]["0"] == {"colour": "#010203"}
    ended = stego("classes", "apply", "classes.toml", "--to", "m.onnx", "--renumber", "--json")
    listed = [json.loads(line) for line in ended.stdout.splitlines() if '"class"' in line]
    assert [(event["number"], event["value"]) for event in listed] == [(0, 0), (1, 1), (2, 2)]


def test_a_run_keeps_its_classes_beside_its_configuration(stego, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(json.dumps({"classes": 3, "shares": [0.5, 0.3, 0.2]}))
    assert stego("classes", "join", "land=0,2", "--to", "run").returncode == 0
    assert tomllib.loads((run / "classes.toml").read_text())["class"]["0"] == {"name": "land", "joins": [2]}
    assert "70.0%" in stego("classes", "list", "--to", "run").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["name", "3"], "cannot be understood"),
        (["name", "9=sky"], "There is no class 9"),
        (["name", "nothing=sky"], "There is no class 'nothing'"),
        (["name", "1=a", "1=b"], "given twice"),
        (["name", "1=blue"], "the same name"),
        (["join", "all=0,1,2,3"], "joined into one"),
        (["join", "=0,1"], "empty name"),
        (["join", "1"], "two or more"),
        (["colour", "1=red"], "not a colour"),
        (["drop", "0,1,2,3"], "all classes are dropped"),
        (["apply", "wrong.toml"], "line 3 (class.7)"),
        (["apply", "other.toml"], "about 5 classes; there are 4"),
        (["apply", "missing.toml"], "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_and_the_masks_are_untouched(stego, masks, words, said):
    (masks.parent / "wrong.toml").write_text("format = 1\nclasses = 4\n[class.7]\nname = 'x'\n")
    (masks.parent / "other.toml").write_text("format = 1\nclasses = 5\n")
    before = {file: file.read_bytes() for file in masks.rglob("*") if file.is_file() and file.name != "lock"}
    ended = stego("classes", *words, "--to", "masks")
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert before == {file: file.read_bytes() for file in masks.rglob("*") if file.is_file() and file.name != "lock"}


def test_what_has_no_classes_is_refused(stego, tmp_path):
    assert stego("classes", "list", "--to", "nothing").returncode == 4
    (tmp_path / "folder").mkdir()
    assert stego("classes", "list", "--to", "folder").returncode == 2
    (tmp_path / "x.onnx").write_bytes(b"nonsense")
    assert stego("classes", "list", "--to", "x.onnx").returncode == 5


def segment(stego, model: Path, *more: object):
    ended = stego(
        "segment", "photos", "--out", "masks", "--model", model, "--no-crf", "--device", "cpu", "--json", *more
    )
    summary = json.loads(ended.stdout.splitlines()[-1]) if ended.returncode == 0 else {}
    return ended, summary


def test_segmenting_goes_on_with_the_classes_that_the_masks_have(stego, masks, tiny_model, photos_folder):
    shutil.copytree(photos_folder, masks.parent / "photos")
    _, plain = segment(stego, tiny_model)
    assert (plain["done"], plain["kept"]) == (11, 2)  # of those two only the times have changed
    before = {file.name: read_ids(file) for file in masks.glob("*.png")}
    assert stego("classes", "join", "warm=0,2", "--to", "masks").returncode == 0
    assert stego("classes", "drop", "3", "--to", "masks").returncode == 0
    ended, summary = segment(stego, tiny_model)
    assert (summary["done"], summary["kept"]) == (0, 13), ended.stderr
    assert "warm" in summary["shares"]
    assert "void" in summary["shares"]
    for name in ("cat", "wren"):
        (masks / f"{name}.png").unlink()
    _, summary = segment(stego, tiny_model, "--also", "overlay")
    assert summary["done"] == 13
    values = np.array([0, 1, 0, 255], np.uint8)
    for name, labels in before.items():
        assert np.array_equal(read_ids(masks / name), values[labels])
    _, summary = segment(stego, tiny_model, "--overwrite")
    assert "warm" not in summary["shares"]
    for name, labels in before.items():
        assert np.array_equal(read_ids(masks / name), labels)


def test_an_edited_model_makes_masks_with_its_classes(stego, tiny_model, photos_folder, tmp_path):
    shutil.copytree(photos_folder, tmp_path / "photos")
    shutil.copy(tiny_model, tmp_path / "m.onnx")
    segment(stego, "m.onnx")
    plain = {file.name: read_ids(file) for file in (tmp_path / "masks").glob("*.png")}
    assert stego("classes", "join", "cold=blue,green", "--to", "m.onnx").returncode == 0
    assert stego("classes", "drop", "red", "--to", "m.onnx").returncode == 0
    ended, _ = segment(stego, "m.onnx")
    assert ended.returncode == 2
    assert "other settings" in ended.stderr
    _, summary = segment(stego, "m.onnx", "--overwrite")
    assert set(summary["shares"]) == {"cold", "dark", "void"}
    for name, labels in plain.items():
        made = read_ids(tmp_path / "masks" / name)
        assert set(np.unique(made)) <= {2, 3, 255}
        # Summed probabilities can win where none of the members did, and never lose where one of them won.
        assert (made[(labels == 1) | (labels == 2)] == 2).all()
    listed = stego("classes", "list", "--to", "masks").stdout
    assert "cold" in listed
    assert stego("classes", "name", "cold=sea", "--to", "masks").returncode == 0
    assert "sea" in segment(stego, "m.onnx")[1]["shares"]


def test_a_change_that_was_stopped_is_finished_before_segmenting_goes_on(stego, masks, tiny_model, photos_folder):
    shutil.copytree(photos_folder, masks.parent / "photos")
    segment(stego, tiny_model)
    text = "format = 1\nclasses = 4\n[class.0]\nname = 'warm'\njoins = [2]\n"
    size = (masks / ".stego/journal.jsonl").stat().st_size
    pending = {"table": [0, 1, 0, *range(3, 256)], "classes": text, "journal": size}
    (masks / ".stego/classes-pending.json").write_text(json.dumps(pending))
    ended, _ = segment(stego, tiny_model)
    assert ended.returncode == 2
    assert "stopped in the middle" in ended.stderr
    assert stego("classes", "apply", "--to", "masks").returncode == 0
    assert "warm" in segment(stego, tiny_model)[1]["shares"]
