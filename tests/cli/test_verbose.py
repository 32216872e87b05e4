"""What is passed over: counted by reason, and listed with -v."""

import json
import shutil

import pytest


@pytest.fixture
def photos(tmp_path, photos_folder):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(photos_folder / "cat.jpg", folder / "cat.jpg")
    for name in ("cat_mask.png", "notes.txt", "more.txt", ".hidden.jpg"):
        (folder / name).write_text("x")
    return folder


WORDS = ("--out", "masks", "--no-crf", "--res", 56)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_files_are_counted_or_listed(photos, stego, tiny_model, dry):
    plain = stego("segment", photos, *WORDS, "--model", tiny_model, *dry).stderr
    assert "Passed over, not named like a picture: 2 (" in plain
    assert "Passed over, hidden: 1 (.hidden.jpg)." in plain
    listed = stego("segment", photos, *WORDS, "--model", tiny_model, "--overwrite", "-v", *dry).stderr
    assert "Passed over, not named like a picture: 2:\n" in listed
    for name in ("cat_mask.png", "notes.txt", "more.txt", ".hidden.jpg"):
        assert f"\n  {name}\n" in listed
        assert f"\n  {name}\n" not in plain


def test_events_have_them_all_the_same(photos, stego, tiny_model):
    out = stego("segment", photos, *WORDS, "--model", tiny_model, "--json").stdout
    passed = [event for event in map(json.loads, out.splitlines()) if event["event"] == "passed_over"]
    assert {event["reason"]: sorted(event["paths"]) for event in passed} == {
        "hidden": [".hidden.jpg"],
        "mask": ["cat_mask.png"],
        "name": ["more.txt", "notes.txt"],
    }
