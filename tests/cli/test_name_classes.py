"""`stego classes --from-labels`: labelled photographs name the classes of a model, and masks follow."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from stego_cli.images.ids import read_ids
from tests.support.models import tiny_graph

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250), "dark": (5, 5, 5)}
# What the labels call the colours: 0 warm, 1 cold, 2 night.
NUMBERS = {"red": 0, "green": 1, "blue": 1, "dark": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photographs of coloured halves, labels of some of them, and a model with a hierarchy."""
    model = tiny_graph()
    about = json.loads(model.metadata_props[0].value) | {"hierarchy": [[1, 2], [0, 3], [0, 1]]}
    about["class_names"] = [f"class {number}" for number in range(4)]
    model.metadata_props[0].value = json.dumps(about)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    for name, (left, right) in {
        "street/a.png": ("red", "green"),
        "street/b.png": ("dark", "red"),
        "c.png": ("blue", "dark"),
    }.items():
        halves = np.zeros((56, 84, 3), np.uint8)
        halves[:, :42], halves[:, 42:] = COLOURS[left], COLOURS[right]
        labels = np.full((56, 84), 255, np.uint8)
        labels[:, :40], labels[:, 44:] = NUMBERS[left], NUMBERS[right]
        for root, picture in (("photos", halves), ("all", labels)):
            file = tmp_path / root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
    (tmp_path / "labels" / "street").mkdir(parents=True)
    for name in ("a", "b"):  # no label shows blue
        (tmp_path / "labels" / "street" / f"{name}_mask.png").write_bytes(
            (tmp_path / "all" / "street" / f"{name}.png").read_bytes()
        )
    (tmp_path / "names.txt").write_text("warm\ncold\nnight\n")
    return tmp_path


NAMED = ("--photos", "photos", "--classes", "names.txt", "--device", "cpu")


def events(ended, kind):
    return [event for line in ended.stdout.splitlines() if (event := json.loads(line))["event"] == kind]


def test_two_labelled_photographs_name_a_model_and_its_masks_have_the_labels_numbers(folder, stego):
    ended = stego("classes", "--from-labels", "labels", "--to", "m.onnx", *NAMED, "--json")
    assert ended.returncode == 0, ended.stderr
    votes = events(ended, "vote")
    assert [vote["name"] for vote in votes] == ["warm", "cold", "cold", "night"]
    assert [vote["sure"] for vote in votes] == [True, True, False, True]
    assert votes[1]["shares"] == {"cold": 1.0}
    assert votes[2]["pixels"] == 0
    assert events(ended, "named")[0] | {"to": ""} == {
        "event": "named",
        "to": "",
        "of": "model",
        "photographs": 2,
        "clusters": 4,
        "classes": 3,
        "missing": [],
        "changed": True,
        "moved": False,  # this model's graph has no centroids
    }
    assert "stay where they are" in ended.stderr
    assert stego("segment", "photos", "--out", "masks", "--model", "m.onnx", "--no-crf").returncode == 0
    mask = read_ids(folder / "masks" / "c.png")
    assert (mask[:, :40] == 1).all()
    assert (mask[:, 44:] == 2).all()
    scored = stego("score", "--pred", "masks", "--gt", "all", "--match", "identity", "--json", "-")
    assert json.loads(scored.stdout)["accuracy"] == 100
    again = stego("classes", "from-labels", "all", "--to", "m.onnx", *NAMED)  # instead of the names before
    assert "100%" in again.stdout
    assert "no labelled pixel" not in again.stdout


def test_a_dry_run_shows_the_votes_and_changes_nothing(folder, stego):
    before = (folder / "m.onnx").read_bytes()
    ended = stego("classes", "--to", "m.onnx", "--from-labels=labels", "--dry-run", "--photos", "photos")
    assert ended.returncode == 0, ended.stderr
    assert "label 1 ?" in ended.stdout
    assert "no labelled pixel" in ended.stdout
    assert "Nothing was changed" in ended.stderr
    assert (folder / "m.onnx").read_bytes() == before


def test_labels_in_colours_and_other_numbers(folder, stego):
    for name in ("a", "b"):
        file = folder / "labels" / "street" / f"{name}_mask.png"
        colours = np.zeros((256, 3), np.uint8)
        colours[:3] = [(9, 9, 9), (8, 8, 0), (7, 0, 7)]
        Image.fromarray(colours[read_ids(file)]).save(file)
    (folder / "palette.txt").write_text("9 9 9 warm\n8 8 0 cold\n7 0 7 night\n0 0 0 void\n")
    ended = stego(
        "classes", "--from-labels", "labels", "--to", "m.onnx", "--photos", "photos", "--palette", "palette.txt"
    )
    assert ended.returncode == 0, ended.stderr
    listed = stego("classes", "list", "--to", "m.onnx").stdout
    assert "#080800" in listed
    assert "night" in listed
    (folder / "remap.txt").write_text("0 1\n1 0\n2 0\n")
    ended = stego(
        "classes", "--from-labels", "all", "--to", "m.onnx", "--photos", "photos", "--remap", "remap.txt", "--json"
    )
    assert [vote["label"] for vote in events(ended, "vote")] == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nothing", "--photos", "photos"), 4, "does not exist"),
        (("labels",), 2, "Give --photos"),
        (("photos/street", "--photos", "all"), 4, "has a label"),
        (("labels", "--photos", "photos", "--ignore", "0", "--classes", "1"), 4, "has a class"),
        (("labels", "--photos", "photos", "--classes", "300"), 2, "too many"),
    ],
)
def test_what_cannot_name_anything_is_refused_and_the_model_untouched(folder, stego, words, code, said):
    before = (folder / "m.onnx").read_bytes()
    ended = stego("classes", "from-labels", *words, "--to", "m.onnx")
    assert ended.returncode == code
    assert said in ended.stderr
    assert (folder / "m.onnx").read_bytes() == before


def test_one_label_that_cannot_be_used_is_listed_and_the_others_count(folder, stego):
    (folder / "labels" / "street" / "a_mask.png").write_bytes(b"nonsense")
    ended = stego("classes", "--from-labels", "labels", "--to", "m.onnx", *NAMED, "--json")
    assert ended.returncode == 3
    assert "street/a.png" in ended.stderr
    assert events(ended, "named")[0]["photographs"] == 1


def test_masks_are_refused_with_the_way_to_name_them(folder, stego):
    (folder / "masks" / ".stego").mkdir(parents=True)
    ended = stego("classes", "--from-labels", "labels", "--to", "masks", "--photos", "photos")
    assert ended.returncode == 2
    assert "stego classes apply" in ended.stderr


def test_an_edited_model_keeps_the_hierarchy_of_what_was_found(folder, stego):
    assert stego("classes", "--from-labels", "labels", "--to", "m.onnx", *NAMED).returncode == 0
    about = json.loads(onnx.load(folder / "m.onnx").metadata_props[0].value)
    assert (about["classes"], len(about["hierarchy"])) == (3, 3)
