"""Masks that are there get other classes: right to the pixel, journal true, whatever moment a kill comes at."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import dropped, joined, recoloured, renamed, renumbered
from stego_cli.errors import OutputError, UsageError
from stego_cli.gallery import remap
from stego_cli.gallery.mask_tree import open_masks, read_labels
from stego_cli.gallery.remap import change_classes, finish_change
from stego_cli.images.journal import read_entries
from stego_cli.images.lock import hold
from stego_cli.inference.output_folder import journals
from stego_cli.progress import Quiet
from stego_cli.stop import Stop

NAMES = ["a.png", "b.png", "x/c.png", "x/d.png", "e.png", "f.png", "g.png"]
SIX = ClassEdits(6)
EDITS = renumbered(dropped(renamed(joined(SIX, [4, 1], "road"), {0: "sky"}), [2]))


def labels_of(masks: Path) -> dict[str, np.ndarray]:
    return {entry.path: read_labels(masks / (entry.mask or "")) for entry in read_entries(journals(masks)).values()}


def assert_true(masks: Path) -> None:
    """Every journal line is that of the mask there, pixel counts included."""
    for entry in read_entries(journals(masks)).values():
        content = (masks / (entry.mask or "")).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.sha256
        counts = np.bincount(read_labels(masks / (entry.mask or "")).ravel())
        assert entry.pixels == {int(value): int(counts[value]) for value in counts.nonzero()[0]}
    assert not [*masks.rglob("*.tmp")]


def test_masks_are_right_to_the_pixel_and_the_journal_is_true(make_masks):
    masks = make_masks(NAMES)
    before = labels_of(masks)
    changed = change_classes(masks, EDITS, Quiet(), Stop())
    assert (changed.written, changed.failed) == (len(NAMES), [])
    assert_true(masks)
    after = labels_of(masks)
    for path, labels in before.items():
        wanted = labels.copy()
        wanted[labels == 1] = 4
        values = {0: 0, 3: 1, 4: 2, 5: 3, 2: 255}
        assert np.array_equal(after[path], np.vectorize(values.get)(wanted))
    tree = open_masks(masks)
    assert tree.edits == EDITS
    assert tree.edits.names == {0: "sky", 1: "class 3", 2: "road", 3: "class 5", 255: "void"}
    colours = Image.open(masks / "a.png").getpalette()
    assert tuple(colours[6:9]) == EDITS.colours[2]


def test_other_names_alone_touch_no_mask(make_masks):
    masks = make_masks(NAMES)
    before = {file: file.read_bytes() for file in masks.rglob("*.png")}
    assert change_classes(masks, renamed(SIX, {3: "sky"}), Quiet(), Stop()).written == 0
    assert before == {file: file.read_bytes() for file in masks.rglob("*.png")}
    assert open_masks(masks).edits.names[3] == "sky"


def test_another_colour_is_in_the_masks_and_overlays(make_masks):
    masks = make_masks(["a.png"], overlay=True)
    overlay = (masks / "a.overlay.jpg").read_bytes()
    change_classes(masks, recoloured(SIX, dict.fromkeys(range(6), (1, 2, 3))), Quiet(), Stop())
    assert (np.asarray(Image.open(masks / "a.png").convert("RGB")) == (1, 2, 3)).all()
    assert (masks / "a.overlay.jpg").read_bytes() != overlay
    assert_true(masks)


def test_an_overlay_whose_photograph_is_gone_is_removed(make_masks):
    masks = make_masks(["a.png"], overlay=True)
    (masks.parent / "photos" / "a.png").unlink()
    change_classes(masks, joined(SIX, [0, 1]), Quiet(), Stop())
    assert not (masks / "a.overlay.jpg").exists()


def test_the_same_change_again_does_nothing_and_going_back_is_refused(make_masks):
    masks = make_masks(NAMES)
    change_classes(masks, EDITS, Quiet(), Stop())
    before = {file: file.stat().st_mtime_ns for file in masks.rglob("*.png")}
    assert change_classes(masks, EDITS, Quiet(), Stop()).written == 0
    with pytest.raises(UsageError, match="cannot tell them apart"):
        change_classes(masks, SIX, Quiet(), Stop())
    with pytest.raises(UsageError, match="about 7 classes"):
        change_classes(masks, ClassEdits(7), Quiet(), Stop())
    assert before == {file: file.stat().st_mtime_ns for file in masks.rglob("*.png")}


class Killed(BaseException):
    """Stands for SIGKILL: nothing after it is done."""


@pytest.mark.parametrize("steps", range(0, 16))
def test_a_kill_at_any_step_leaves_every_mask_old_or_new_and_can_be_finished(make_masks, monkeypatch, steps):
    masks = make_masks(NAMES)
    old = labels_of(masks)
    table = remap.transition(SIX, EDITS)
    left = [steps]

    def mortal(call):
        def wrapped(*args):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return call(*args)

        return wrapped

    with monkeypatch.context() as patched:
        patched.setattr(remap, "cores", lambda: 1)
        patched.setattr(remap, "write_bytes", mortal(remap.write_bytes))
        patched.setattr(remap.Journal, "append", mortal(remap.Journal.append))
        patched.setattr(remap, "keep_classes_of_masks", mortal(remap.keep_classes_of_masks))
        if steps < 1 + 2 * len(NAMES) + 1:
            with pytest.raises(Killed):
                change_classes(masks, EDITS, Quiet(), Stop())
    for path, labels in labels_of(masks).items():
        assert np.array_equal(labels, old[path]) or np.array_equal(labels, table[old[path]])
    if steps:
        with pytest.raises(UsageError, match="stopped in the middle"):
            open_masks(masks)
        assert finish_change(masks, Quiet(), Stop()) is not None
    else:
        change_classes(masks, EDITS, Quiet(), Stop())
    assert_true(masks)
    for path, labels in labels_of(masks).items():
        assert np.array_equal(labels, table[old[path]])
    assert open_masks(masks).edits == EDITS


def test_a_stopped_change_is_finished_before_the_next(make_masks, monkeypatch):
    masks = make_masks(NAMES)
    old = labels_of(masks)
    with monkeypatch.context() as patched:
        patched.setattr(remap, "encode_mask", lambda labels, colours: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            change_classes(masks, EDITS, Quiet(), Stop())
    last = joined(EDITS, [0, 4])
    change_classes(masks, last, Quiet(), Stop())
    for path, labels in labels_of(masks).items():
        assert np.array_equal(labels, last.table[old[path]])


def test_masks_that_something_else_altered_or_removed_are_listed_and_left(make_masks):
    masks = make_masks(NAMES)
    (masks / "a.png").write_bytes(b"")
    (masks / "b.png").unlink()
    changed = change_classes(masks, EDITS, Quiet(), Stop())
    assert [path for path, _ in changed.failed] == ["a.png", "b.png"]
    assert changed.written == len(NAMES) - 2
    assert (masks / "a.png").read_bytes() == b""


def test_journals_of_shards_become_one_that_wins(make_masks):
    masks = make_masks(NAMES)
    whole = (masks / ".stego/journal.jsonl").read_text().splitlines(keepends=True)
    for index, lines in enumerate((whole[::2], whole[1::2]), 1):
        shard = masks / f".stego/shard-{index}-of-2"
        shard.mkdir()
        (shard / "journal.jsonl").write_text("".join(lines))
    (masks / ".stego/journal.jsonl").unlink()
    change_classes(masks, EDITS, Quiet(), Stop())
    assert journals(masks) == [masks / ".stego/journal.jsonl"]
    assert len(read_entries(journals(masks))) == len(NAMES)
    assert_true(masks)


def test_a_folder_that_another_run_writes_to_is_refused(make_masks):
    masks = make_masks(["a.png"])
    with hold(masks / ".stego/lock"), pytest.raises(OutputError, match="Another run"):
        change_classes(masks, EDITS, Quiet(), Stop())


def test_a_folder_that_is_none_of_ours_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no masks"):
        change_classes(tmp_path, EDITS, Quiet(), Stop())
    assert not (tmp_path / ".stego").exists()


def test_a_damaged_record_of_a_stopped_change_is_refused(make_masks):
    masks = make_masks(["a.png"])
    (masks / ".stego/classes-pending.json").write_text(json.dumps({"table": []}))
    with pytest.raises(Exception, match="damaged"):
        finish_change(masks, Quiet(), Stop())
