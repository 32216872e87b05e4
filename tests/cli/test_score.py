"""The command as a user starts it: what it writes, what it says, and how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

KEYS = {
    "miou",
    "accuracy",
    "per_class",
    "confusion",
    "assignment",
    "images",
    "pixels",
    "ignored_pixels",
    "unmatched_pixels",
    "failed",
}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    label = np.array([[0, 0, 1, 1, 2, 255]] * 4, dtype=np.uint8)
    pred = np.array([[1, 1, 0, 0, 2, 2]] * 4, dtype=np.uint8)
    for name in ("a", "b"):
        for side, ids in (("gt", label), ("pred", pred)):
            (tmp_path / side / "x").mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids).save(tmp_path / side / "x" / f"{name}.png")
    return tmp_path


def test_score_writes_json_a_report_and_a_table(folders: Path, stego) -> None:
    ended = stego(
        "score", "--pred", "pred", "--gt", "gt", "--classes", "potsdam3", "--json", "s/score.json", "--report", "r.html"
    )
    assert ended.returncode == 0, ended.stderr
    written = json.loads((folders / "s" / "score.json").read_text())
    assert written.keys() >= KEYS
    assert written["miou"] == 100
    assert written["accuracy"] == 100
    assert written["assignment"] == [1, 0, 2]
    assert written["per_class"][0] == {"id": 0, "name": "roads and cars", "iou": 100, "pixels": 16, "unmatched": 0}
    assert written["confusion"] == [[16, 0, 0], [0, 16, 0], [0, 0, 8]]
    assert [written[key] for key in ("images", "pixels", "ignored_pixels", "unmatched_pixels", "failed")] == [
        2,
        40,
        8,
        0,
        0,
    ]
    assert "trees and vegetation" in ended.stdout
    for figure in ("mIoU", "accuracy", "frequency-weighted IoU", "boundary F-score", "adjusted mutual information"):
        assert figure in ended.stdout
    assert (folders / "r.html").read_text().startswith("<!doctype html>")


def test_labels_are_remapped_first(folders: Path, stego) -> None:
    (folders / "remap.txt").write_text("0 1\n1-2 0\n255 1\n")
    ended = stego("score", "--pred", "pred", "--gt", "gt", "--classes", "2", "--remap", "remap.txt", "--json", "-")
    assert ended.returncode == 0, ended.stderr
    written = json.loads(ended.stdout)
    assert written["ignored_pixels"] == 0
    assert [each["pixels"] for each in written["per_class"]] == [24, 24]
    assert written["confusion"] == [[16, 0], [0, 16]]
    assert written["unmatched_pixels"] == 16  # cluster 2 is no class of two


def test_failed_pairs_are_listed_and_end_with_3(folders: Path, stego) -> None:
    (folders / "pred" / "x" / "b.png").unlink()
    Image.new("RGB", (6, 4), (9, 0, 0)).save(folders / "gt" / "x" / "c.png")
    Image.new("L", (6, 4)).save(folders / "pred" / "x" / "c.png")
    ended = stego("score", "--pred", "pred", "--gt", "gt", "--json", "-")
    assert ended.returncode == 3
    written = json.loads(ended.stdout)
    assert (written["images"], written["failed"]) == (1, 2)
    assert [each["path"] for each in written["failures"]] == ["x/b.png", "x/c.png"]
    assert "x/b.png: no mask for this label" in ended.stderr
    assert "x/c.png: label: a colour picture (#090000)" in ended.stderr


def test_what_was_left_out_or_changed_is_said(folders: Path, stego) -> None:
    Image.fromarray(np.full((2, 3), 7, dtype=np.uint8)).save(folders / "pred" / "x" / "b.png")
    Image.new("L", (6, 4), 255).save(folders / "gt" / "x" / "v.png")
    Image.new("L", (6, 4)).save(folders / "pred" / "x" / "v.png")
    ended = stego("score", "--pred", "pred", "--gt", "gt", "--classes", "3")
    assert ended.returncode == 0
    assert "50.0% of the labelled pixels were predicted as a cluster that is matched to no class" in ended.stderr
    assert "Masks of another size than their label, resized to it (nearest pixel): 1." in ended.stderr
    assert "Labels without a pixel of any class: 1." in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--pred", "nowhere", "--gt", "gt"), 4),
        (("--pred", "pred", "--gt", "gt", "--classes", "nothing"), 2),
        (("--pred", "pred", "--gt", "gt", "--match", "best"), 2),
        (("--pred", "pred", "--gt", "gt", "--photos", "gt"), 2),
        (("--pred", "pred", "--gt", "gt", "--json", "gt"), 6),
        (("--pred", "pred", "--gt", "gt", "--json", "gt/x/a.png/s.json"), 6),
    ],
)
def test_exit_codes(folders: Path, stego, arguments: tuple[str, ...], code: int) -> None:
    ended = stego("score", *arguments)
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.count("Error: ") == 1
    assert "Traceback" not in ended.stderr
