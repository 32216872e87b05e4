"""The same command again: only what is missing or has changed is done, and masks of different settings never mix."""

import hashlib
import json
import os
import shutil

import numpy as np
import onnx
import pytest
from PIL import Image

NAMES = ("cat", "lake", "wren")


@pytest.fixture
def photos(tmp_path, photos_folder):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(photos_folder / f"{name}.jpg", folder)
    return folder


@pytest.fixture
def out(photos, segment, tmp_path):
    """Masks of a finished run."""
    assert segment(photos, tmp_path / "masks").returncode == 0
    return tmp_path / "masks"


def contents(out):
    return {path.name: path.read_bytes() for path in out.glob("*.png")}


def times(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}


def test_a_finished_run_is_not_redone(photos, out, segment):
    before = times(out)
    result = segment(photos, out)
    assert result.returncode == 0
    assert "3 of 3 photographs have their masks already" in result.stderr
    assert times(out) == before


@pytest.mark.parametrize("harm", ["empty", "altered", "removed", "other mask"])
def test_a_mask_that_is_not_the_one_that_was_written_is_redone(photos, out, segment, harm):
    before, written = contents(out), times(out)
    mask = out / "cat.png"
    if harm == "removed":
        mask.unlink()
    else:
        spoilt = bytearray(before["cat.png"])
        spoilt[-20] ^= 1
        mask.write_bytes({"empty": b"", "altered": bytes(spoilt), "other mask": before["lake.png"]}[harm])
    result = segment(photos, out)
    assert result.returncode == 0
    assert "2 of 3 photographs" in result.stderr
    assert contents(out) == before
    assert [name for name in written if times(out)[name] == written[name]] == ["lake.png", "wren.png"]


def test_a_photograph_that_was_replaced_is_redone(photos, out, segment):
    before = contents(out)
    shutil.copy(photos / "lake.jpg", photos / "cat.jpg")
    assert segment(photos, out).returncode == 0
    assert contents(out) == {**before, "cat.png": before["lake.png"]}


def test_times_that_changed_alone_change_nothing(photos, out, segment, journal):
    before = times(out)
    for path in photos.iterdir():
        os.utime(path, (1, 1))
    result = segment(photos, out)
    assert "3 of 3 photographs have their masks already" in result.stderr
    assert times(out) == before
    for name in NAMES:
        assert (
            journal(out)[f"{name}.jpg"]["content"] == hashlib.sha256((photos / f"{name}.jpg").read_bytes()).hexdigest()
        )


def test_a_photograph_that_failed_is_tried_again(photos, segment, tmp_path):
    whole = (photos / "cat.jpg").read_bytes()
    (photos / "cat.jpg").write_bytes(whole[:2000])
    assert segment(photos, tmp_path / "masks").returncode == 3
    (photos / "cat.jpg").write_bytes(whole)
    assert segment(photos, tmp_path / "masks").returncode == 0
    assert len(contents(tmp_path / "masks")) == 3


def test_overlays_asked_for_later_are_added_and_masks_stay_the_same(photos, out, segment):
    before = contents(out)
    assert segment(photos, out, "--overlay").returncode == 0
    assert contents(out) == before
    for name in NAMES:
        with Image.open(out / f"{name}.overlay.jpg") as overlay, Image.open(photos / f"{name}.jpg") as photo:
            assert overlay.size == photo.size


@pytest.fixture
def other_model(tiny_model, tmp_path):
    """The same classes, with red and green changed over."""
    model = onnx.load(tiny_model)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "weights")
    values = onnx.numpy_helper.to_array(weights)[[1, 0, 2, 3]]
    weights.CopyFrom(onnx.numpy_helper.from_array(values, "weights"))
    onnx.save(model, tmp_path / "other.onnx")
    return tmp_path / "other.onnx"


@pytest.mark.parametrize("change", ["model", "res", "crf"])
def test_other_settings_are_refused_and_redone_only_with_overwrite(photos, out, segment, other_model, change):
    before = contents(out)
    arguments = {"model": ("--model", other_model), "res": ("--res", 28), "crf": ("--crf",)}[change]
    refused = segment(photos, out, *arguments)
    assert refused.returncode == 2
    assert f"other settings ({change})" in refused.stderr
    assert contents(out) == before
    assert segment(photos, out, *arguments, "--overwrite").returncode == 0
    assert all(content != before[name] for name, content in contents(out).items())
    if change == "model":  # every mask is the new model's
        for name in NAMES:
            with Image.open(out / f"{name}.png") as mask:
                changed_over = np.array([1, 0, 2, 3])[np.asarray(mask)]
            (out / "old.png").write_bytes(before[f"{name}.png"])
            with Image.open(out / "old.png") as mask:
                assert (changed_over == np.asarray(mask)).mean() > 0.99


def test_an_interrupted_change_of_settings_never_leaves_old_masks_counted_as_new(photos, out, segment, other_model):
    (photos / "a-broken.jpg").write_bytes(b"broken")
    assert segment(photos, out, "--model", other_model, "--overwrite").returncode == 3
    (photos / "a-broken.jpg").unlink()
    result = segment(photos, out)
    assert result.returncode == 2
    assert "other settings (model)" in result.stderr


@pytest.mark.parametrize(
    "harm", ["half a line", "a line of zeros", "bytes that are no text", "JSON of another kind", "an empty line"]
)
def test_a_damaged_journal_costs_only_the_lines_that_were_damaged(photos, out, segment, journal, harm):
    before = contents(out)
    file = out / ".stego/journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    lines[2] = {
        "half a line": lines[2][:40],
        "a line of zeros": bytes(len(lines[2])),
        "bytes that are no text": b'{"path": "\xff\xfe"}\n',
        "JSON of another kind": b'[1]\n7\nnull\n{"path": "wren.jpg", "pixels": 3}\n{"path": 5, "status": "done"}\n',
        "an empty line": b"\n",
    }[harm]
    file.write_bytes(b"".join(lines))
    result = segment(photos, out)
    assert result.returncode == 0, result.stderr
    assert "2 of 3 photographs" in result.stderr
    assert contents(out) == before
    if harm == "half a line":
        assert len(journal(out)) == 3  # every line parses again


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"identity": 3}'])
def test_masks_of_unknown_settings_are_not_gone_on_with(photos, out, segment, content):
    run = out / ".stego/run.json"
    run.unlink()
    if content is not None:
        run.write_text(content)
    result = segment(photos, out)
    assert result.returncode == 5
    assert "missing or damaged" in result.stderr
    assert "Traceback" not in result.stderr
    assert segment(photos, out, "--overwrite").returncode == 0
    assert json.loads(run.read_text())["identity"]["model"]


def test_the_models_own_resolution_said_aloud_is_no_other_setting(tmp_path, segment, tiny_model, photos_folder):
    photo = photos_folder / "cat.jpg"
    assert segment(photo, "masks", "--model", tiny_model, "--no-crf").returncode == 0
    again = segment(photo, "masks", "--model", tiny_model, "--no-crf", "--res", 56)
    assert again.returncode == 0, again.stderr
    other = segment(photo, "masks", "--model", tiny_model, "--no-crf", "--res", 70)
    assert other.returncode == 2
    assert "other settings (res)" in other.stderr
