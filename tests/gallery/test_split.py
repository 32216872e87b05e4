"""One class becomes several: in a model, in masks right to the pixel, and whatever moment a kill comes at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import joined, renamed, split
from stego_cli.classes_toml import read_classes
from stego_cli.errors import ModelError, UsageError
from stego_cli.gallery.centroids import centroids_of_model
from stego_cli.gallery.mask_tree import open_masks
from stego_cli.gallery.model_edit import classes_of_model, edit_model, shares_of_model
from stego_cli.hierarchy import hierarchy_of
from stego_cli.images.atomic import sha256
from stego_cli.inference.contract import METADATA_KEY
from stego_cli.inference.session import Session
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.classes import edit_classes, joining, named, parting, splitting
from stego_cli.tasks.segment import segment
from stego_cli.tasks.split import SplitSource
from tests.support.stripes import BLUE, CENTROIDS, GREEN, ORANGE, PINK, RED, SIDE, again, stripes


def labels_of(masks: Path) -> dict[str, np.ndarray]:
    tree = open_masks(masks)
    return {entry.path: tree.labels(entry) for entry in tree.entries}


def log_probs(content: bytes, image: np.ndarray) -> np.ndarray:
    return Session.from_bytes(content, "cpu").log_probs(image[None])[0]


def about(content: bytes) -> dict[str, object]:
    props = onnx.load_from_string(content).metadata_props
    return json.loads(next(each.value for each in props if each.key == METADATA_KEY))


def split_file(model: bytes, masks: Path, into: int = 3) -> bytes:
    file = masks.with_name("m.onnx")
    file.write_bytes(model)
    edit_classes(file, splitting("0", into), Quiet(), Stop(), SplitSource(masks.with_name("photos")))
    return file.read_bytes()


def test_a_models_class_becomes_parts_and_the_others_stand_to_each_other_as_before(coded_model, coded_masks):
    model, masks = coded_model, coded_masks
    after = split_file(model, masks)
    assert classes_of_model(after, "m") == ClassEdits(3, splits=((0, 3),))
    picture = stripes([RED, ORANGE, PINK, GREEN, BLUE])
    was, now = log_probs(model, picture), log_probs(after, picture)
    assert now.shape == (5, SIDE, 240)
    assert np.allclose(now[1] - now[2], was[1] - was[2], atol=1e-5)
    assert np.allclose(np.exp(now).sum(0), 1, atol=1e-5)
    chosen = now.argmax(0)[0, 24::48].tolist()
    # The largest part keeps the number: 3 stripes each of red and orange, one of pink; of equals the order is open.
    assert chosen[3:] == [1, 2]
    assert sorted(chosen[:3]) == [0, 3, 4]
    assert chosen[2] == 4
    centroids = centroids_of_model(after, 5)
    for colour, number in zip((RED, ORANGE, PINK), chosen[:3], strict=True):
        code = (np.array(colour) - 127.5) / 127.5
        assert np.allclose(centroids[number], code / np.linalg.norm(code), atol=1e-5)
    assert np.allclose(centroids[1:3], CENTROIDS[1:], atol=1e-6)


def test_names_shares_and_hierarchy_follow(coded_model, coded_masks):
    model, masks = coded_model, coded_masks
    after = split_file(edit_model(model, renamed(ClassEdits(3), {0: "warm", 1: "leaf"}), "m"), masks)
    edits = classes_of_model(after, "m")
    assert {entry.number: entry.name for entry in edits.legend} == {
        0: "warm 1",
        1: "leaf",
        2: "class 2",
        3: "warm 2",
        4: "warm 3",
    }
    assert Session.from_bytes(after, "cpu").info.class_names == ("warm 1", "leaf", "class 2", "warm 2", "warm 3")
    shares = shares_of_model(after, "m")
    assert shares[1:3] == pytest.approx((1 / 3, 1 / 3))
    assert (shares[0], shares[3], shares[4]) == pytest.approx((3 / 21, 3 / 21, 1 / 21), abs=1e-6)
    pairs = about(after)["hierarchy"]
    assert [tuple(pair) for pair in pairs] == list(hierarchy_of(centroids_of_model(after, 5), shares))


def test_the_same_photographs_and_seed_give_the_same_bytes(coded_model, coded_masks):
    model, masks = coded_model, coded_masks
    assert split_file(model, masks) == split_file(model, masks)


def test_parts_joined_again_are_the_sum_of_the_parts_and_edits_go_on(coded_model, coded_masks):
    model, masks = coded_model, coded_masks
    after = split_file(model, masks)
    file = masks.with_name("m.onnx")
    edit_classes(file, joining(["warm=0,3,4"]), Quiet(), Stop())
    picture = stripes([RED, ORANGE, PINK, GREEN])
    parts, whole = log_probs(after, picture), log_probs(file.read_bytes(), picture)
    assert np.allclose(np.exp(whole[0]), np.exp(parts[[0, 3, 4]]).sum(0), atol=1e-6)
    edit_classes(file, parting(["warm"]), Quiet(), Stop())
    assert np.array_equal(log_probs(file.read_bytes(), picture), parts)


def test_each_pixel_of_the_class_goes_to_its_part_and_no_other_changes(coded_masks):
    masks = coded_masks
    before, model = labels_of(masks), masks / ".stego/model.onnx"
    untouched = (masks / "none.png").read_bytes()
    edit_classes(masks, named(["0=warm", "1=leaf"]), Quiet(), Stop())
    report = edit_classes(masks, splitting("warm", 3), Quiet(), Stop())
    after = labels_of(masks)
    assert report.written == 3
    assert (masks / "none.png").read_bytes() == untouched
    tops = {name: labels[0, 24::48].tolist() for name, labels in after.items()}
    red, orange = tops["a.png"][:2]
    wanted = {"a.png": [red, orange, 1], "b.png": [orange, orange, 2], "x/c.png": [4, red, red], "none.png": [1, 2, 1]}
    assert {red, orange} == {0, 3}
    for name, labels in after.items():
        assert np.array_equal(labels, np.repeat(np.tile(np.array(wanted[name], np.uint8), (SIDE, 1)), 48, axis=1))
    tree = open_masks(masks)
    assert [entry.name for entry in tree.edits.legend] == ["warm 1", "leaf", "class 2", "warm 2", "warm 3"]
    for entry in tree.entries:
        assert sha256(masks / entry.mask) == entry.sha256
        assert entry.pixels == {int(v): int((after[entry.path] == v).sum()) for v in np.unique(after[entry.path])}
    assert json.loads((masks / ".stego/run.json").read_text())["identity"]["model"] == sha256(model)
    # Segmenting goes on, and new photographs get the parts.
    shutil.copy(masks.with_name("photos") / "a.png", masks.with_name("photos") / "new.png")
    summary = segment(again(masks), Quiet()).summary
    assert (summary.done, summary.kept) == (1, 4)
    assert np.array_equal(labels_of(masks)["new.png"], after["a.png"])
    # Joined again, the masks are those that were there.
    edit_classes(masks, joining(["0,3,4"]), Quiet(), Stop())
    for name, labels in before.items():
        assert np.array_equal(labels_of(masks)[name], labels)


def test_a_join_is_refused_with_the_way_round_and_a_join_of_others_stays(coded_masks):
    masks = coded_masks
    edit_classes(masks, joining(["cold=1,2"]), Quiet(), Stop())
    with pytest.raises(UsageError, match="Class 1 is a join of 1, 2"):
        edit_classes(masks, splitting("cold", 2), Quiet(), Stop())
    edit_classes(masks, splitting("0", 2), Quiet(), Stop())
    tree = open_masks(masks)
    assert tree.edits == split(joined(ClassEdits(3), [1, 2], "cold"), 0, 2)
    assert set(tree.pixels) == {0, 1, 3}


@pytest.mark.parametrize("moment", range(12))
def test_a_split_that_stops_at_any_moment_is_finished_by_the_same_command(coded_masks, monkeypatch, moment):
    """Whatever of the files is the last to be written, the rest comes out as without a stop."""
    masks = coded_masks
    straight = shutil.copytree(masks, masks.with_name("straight"))
    edit_classes(straight, splitting("0", 3), Quiet(), Stop())
    wanted = labels_of(straight)
    from stego_cli.gallery import remap, remap_split

    written, write = [], remap.write_bytes

    def until(path: Path, content: bytes, scratch: Path) -> None:
        if len(written) == moment:
            raise KeyboardInterrupt
        written.append(path)
        write(path, content, scratch)

    monkeypatch.setattr(remap, "write_bytes", until)
    monkeypatch.setattr(remap_split, "write_bytes", until)
    try:
        edit_classes(masks, splitting("0", 3), Quiet(), Stop())
        assert moment >= len(written)
    except KeyboardInterrupt:
        monkeypatch.undo()
        if (masks / ".stego/classes-pending.json").exists():
            with pytest.raises(UsageError, match="stopped in the middle"):
                segment(again(masks), Quiet())
        edit_classes(masks, splitting("0", 3), Quiet(), Stop())  # finished, and not split once more
    for name, labels in labels_of(masks).items():
        assert np.array_equal(labels, wanted[name])
    for entry in open_masks(masks).entries:
        assert sha256(masks / entry.mask) == entry.sha256
    assert segment(again(masks), Quiet()).summary.kept == 4


def test_what_cannot_be_split_is_refused_and_nothing_is_changed(coded_model, coded_masks, tmp_path, tiny_model):
    model, masks = coded_model, coded_masks
    files = {file: file.read_bytes() for file in masks.rglob("*") if file.is_file() and file.name != "lock"}
    with pytest.raises(UsageError, match="its codes in these photographs make 3"):
        edit_classes(masks, splitting("0", 8), Quiet(), Stop())
    with pytest.raises(UsageError, match="There is no class 9"):
        edit_classes(masks, splitting("9", 2), Quiet(), Stop())
    assert files == {file: file.read_bytes() for file in masks.rglob("*") if file.is_file() and file.name != "lock"}
    (masks / ".stego/model.onnx").write_bytes(edit_model(model, renamed(ClassEdits(3), {0: "x"}), "m"))
    with pytest.raises(UsageError, match="is not kept there"):
        edit_classes(masks, splitting("0", 2), Quiet(), Stop())
    (tmp_path / "m.onnx").write_bytes(model)
    with pytest.raises(UsageError, match="needs photographs"):
        edit_classes(tmp_path / "m.onnx", splitting("0", 2), Quiet(), Stop())
    shutil.copy(tiny_model, tmp_path / "tiny.onnx")
    with pytest.raises(ModelError, match="centroids of the classes are not found"):
        edit_classes(tmp_path / "tiny.onnx", splitting("red", 2), Quiet(), Stop(), SplitSource(tmp_path / "photos"))


def test_the_command_splits_and_a_classes_file_notes_a_split_until_it_is_applied(coded_masks, stego):
    file = coded_masks.with_name("classes.toml")
    file.write_text("format = 1\nclasses = 3\n")
    assert stego("classes", "split", "0", "--into", "3", "--to", file).returncode == 0
    assert read_classes(file) == split(ClassEdits(3), 0, 3)
    assert set(open_masks(coded_masks).pixels) == {0, 1, 2}
    ended = stego("classes", "apply", file, "--to", coded_masks)
    assert ended.returncode == 0
    assert "Masks changed: 3." in ended.stderr
    assert set(open_masks(coded_masks).pixels) == {0, 1, 2, 3, 4}
    ended = stego("classes", "split", "class 1", "--to", coded_masks.with_name("none.onnx"))
    assert ended.returncode == 4
    ended = stego("classes", "split", "1", "--into", "1", "--to", coded_masks)
    assert ended.returncode == 2
