"""What a gallery holds: figures right, names as text, and nothing made twice."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import joined, renamed
from stego_cli.errors import NoInputError, UsageError
from stego_cli.gallery.mask_tree import open_masks, read_labels
from stego_cli.gallery.remap import change_classes
from stego_cli.images.masks import encode_mask
from stego_cli.inference.outputs import OUTPUTS, Segmented
from stego_cli.palette import palette
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.stop import Stop
from stego_cli.tasks.gallery import GallerySettings, make_gallery

NAMES = ["a.png", "b.png", "x/c.png", "x/d.png", "</script><img src=x onerror=alert(1)>.png", "line\n\u202eend.png"]


def data(gallery: Path, name: str) -> object:
    text = (gallery / "data" / f"{name}.js").read_text()
    return json.loads(text.removeprefix(f'stegoData("{name}",').removesuffix(");\n"))


def made(masks: Path, **settings: object) -> Path:
    make_gallery(GallerySettings(masks, **settings), Quiet(), Stop())
    return masks.with_name("masks-gallery")


def test_figures_are_those_of_the_masks(make_masks):
    masks = make_masks(NAMES)
    gallery = made(masks)
    index = data(gallery, "index")
    tree = open_masks(masks)
    every = [tree.labels(entry) for entry in tree.entries]
    pixels = np.concatenate([labels.ravel() for labels in every])
    for row in index["classes"]:
        assert row["share"] == pytest.approx((pixels == row["number"]).mean(), abs=1e-6)
        assert row["photographs"] == sum((labels == row["number"]).any() for labels in every)
        assert row["typical"]
        assert not {crop[0] for crop in row["typical"]} & {crop[0] for crop in row["doubtful"]}
        assert all((gallery / "crops" / crop[0]).is_file() for crop in row["typical"] + row["doubtful"])
        assert sum(share for _, share in row["borders"]) <= 1.0001
        assert row["number"] not in {number for number, _ in row["borders"] + row["alike"]}
    for place, (labels, piece) in enumerate(zip(every, data(gallery, "masks-0"), strict=True)):
        width, height, text = piece
        stored = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(height, width)
        assert np.array_equal(stored, labels)
        with Image.open(gallery / "pictures" / f"{place}.jpg") as picture:
            assert picture.size == (width, height)
    assert index["doubt"] == "look"
    assert index["alike"] == "look"


def test_names_are_data_and_never_markup(make_masks):
    gallery = made(make_masks(NAMES))
    assert "<" not in (gallery / "data/index.js").read_text()
    assert set(data(gallery, "index")["photographs"]["name"]) == set(NAMES)


def test_doubt_is_of_probabilities_where_they_were_kept(make_masks):
    masks = make_masks(["a.png", "b.png"])
    for file in masks.glob("*.png"):
        labels = read_labels(file)
        probs = np.full((6, *labels.shape), 0.02, np.float32)
        np.put_along_axis(probs, labels[None].astype(np.int64), 0.6 if file.stem == "a" else 0.9, 0)
        content = OUTPUTS["probabilities"].encode(Segmented(file, Reading(), labels, palette(6), np.log(probs)))
        file.with_suffix(".probs.npz").write_bytes(content)
    index = data(made(masks), "index")
    assert index["doubt"] == "probabilities"
    assert index["photographs"]["doubt"] == pytest.approx([0.4, 0.1], abs=0.03)


def test_classes_that_look_like_another_are_doubtful(make_masks):
    masks = make_masks([f"{number}.png" for number in range(12)])
    odd = masks / "3.png"
    labels = read_labels(odd)
    wrong = labels.copy()
    wrong[labels == np.bincount(labels.ravel()).argmax()] = (np.bincount(labels.ravel()).argmax() + 1) % 6
    odd.write_bytes(encode_mask(wrong, palette(6)))
    doubts = dict(zip(*(data(made(masks), "index")["photographs"][key] for key in ("name", "doubt")), strict=True))
    assert max(doubts, key=doubts.get) == "3.png"


def test_a_gallery_that_is_up_to_date_is_kept_and_follows_the_classes_file(make_masks):
    masks = make_masks(NAMES)
    gallery = made(masks)
    before = (gallery / "pictures/0.jpg").stat().st_mtime_ns
    (masks / "classes.toml").write_text("format = 1\nclasses = 6\n[class.2]\nname = 'sky'\n")
    made(masks)
    assert (gallery / "pictures/0.jpg").stat().st_mtime_ns == before
    assert data(gallery, "classes")["edits"]["class"] == {"2": {"name": "sky"}}
    change_classes(masks, joined(ClassEdits(6), [0, 1]), Quiet(), Stop())
    (masks / "classes.toml").unlink()
    made(masks)
    assert (gallery / "pictures/0.jpg").stat().st_mtime_ns != before
    assert data(gallery, "index")["fixed"] == [[0, 1]]


def test_a_classes_file_that_the_masks_cannot_follow_is_refused(make_masks):
    masks = make_masks(NAMES)
    change_classes(masks, joined(ClassEdits(6), [0, 1]), Quiet(), Stop())
    (masks / "classes.toml").write_text("format = 1\nclasses = 6\n")
    with pytest.raises(UsageError, match="cannot tell them apart"):
        made(masks)


def test_photographs_that_are_gone_are_listed_and_the_rest_is_shown(make_masks):
    masks = make_masks(NAMES)
    (masks.parent / "photos/a.png").unlink()
    built = make_gallery(GallerySettings(masks), Quiet(), Stop())
    assert [path for path, _ in built.failed] == ["a.png"]
    assert built.photographs == len(NAMES) - 1


def test_a_folder_with_something_else_in_it_is_refused(make_masks, tmp_path):
    masks = make_masks(["a.png"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    for out in (tmp_path / "mine", masks, tmp_path / "photos"):
        with pytest.raises(UsageError, match="holds"):
            made(masks, out=out)
    assert (tmp_path / "mine/thesis.tex").read_text() == "x"


def test_masks_whose_photographs_are_unknown_are_refused(make_masks):
    masks = make_masks(["a.png"])
    (masks / ".stego/run.json").unlink()
    with pytest.raises(NoInputError, match="not known"):
        made(masks)
    assert made(masks, photos=masks.parent / "photos").is_dir()


def test_names_come_from_the_masks(make_masks):
    masks = make_masks(["a.png"])
    change_classes(masks, renamed(ClassEdits(6), {1: "road"}), Quiet(), Stop())
    assert data(made(masks), "classes")["edits"]["class"] == {"1": {"name": "road"}}
