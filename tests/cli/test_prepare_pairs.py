"""`stego prepare folder`: which label belongs to which photograph, in the layouts that people leave."""

import shutil
import zipfile

import numpy as np
import pytest

from tests.support import archives
from tests.support.labelled import IDS, PHOTO, PNG, SIZE, labels, photos

PAIRED = {
    "folders below one folder": {"ds/images/a.jpg": "ds/masks/a.png", "ds/images/x/b.jpg": "ds/masks/x/b.png"},
    "two folders down": {"mine/v2/imgs/a.jpg": "mine/v2/labels/a.png", "mine/v2/imgs/b.jpg": "mine/v2/labels/b.png"},
    "other words for both": {"Photos/a.jpg": "Ground Truth/a.png", "Photos/b.jpg": "Ground Truth/b.png"},
    "mask beside": {"a.jpg": "a_mask.png", "b.jpg": "b_mask.png"},
    "label beside": {"x/a.jpg": "x/a_label.png", "x/b.jpg": "x/b_label.png"},
    "gt beside": {"a.jpg": "a_gt.png", "b.jpg": "b_gt.png"},
    "seg beside": {"a.jpg": "a-seg.png", "b.jpg": "b-seg.png"},
    "ids beside": {"a.jpg": "a_labelIds.png", "b.jpg": "b_labelIds.png"},
    "word before": {"a.jpg": "mask_a.png", "b.jpg": "mask_b.png"},
    "photographs with a word too": {"a_sat.jpg": "a_mask.png", "b_sat.jpg": "b_mask.png"},
    "words in other folders": {"images/img_1.jpg": "masks/mask_1.png", "images/img_2.jpg": "masks/mask_2.png"},
    "upper case": {"d.JPG": "labels/D.png", "e.JPG": "labels/E.PNG"},
    "name with suffix": {"images/a.jpg": "labels/a.jpg.png", "images/b.jpg": "labels/b.jpg.png"},
    "voc": {"JPEGImages/a.jpg": "SegmentationClass/a.png", "JPEGImages/b.jpg": "SegmentationClass/b.png"},
    "flat labels": {"images/x/a.jpg": "labels/a.png", "images/y/b.jpg": "labels/b.png"},
    "mmsegmentation": {"img_dir/p/a.jpg": "ann_dir/p/a.png", "img_dir/p/b.jpg": "ann_dir/p/b.png"},
}


KINDS = [("folder", layout) for layout in PAIRED]
KINDS += [
    (kind, layout)
    for kind in ("zip", "windows zip", "unpacked windows zip")
    for layout in ("folders below one folder", "mask beside", "voc")
]


@pytest.mark.parametrize(("kind", "layout"), KINDS)
def test_photographs_and_labels_are_paired_by_their_names(prepared, tmp_path, layout, kind) -> None:
    files = {}
    for index, (photo, label) in enumerate(PAIRED[layout].items()):
        files |= {photo: PHOTO[index], label: archives.png((IDS + index) % 3)}
    source: dict[str, bytes] | str = files
    if kind == "zip":
        source = archives.as_zip(files, tmp_path / "given.zip").name
    elif kind == "windows zip":
        with zipfile.ZipFile(tmp_path / "given.zip", "w") as archive:
            for name, content in files.items():
                member = zipfile.ZipInfo("x")
                member.filename = name.replace("/", "\\")
                archive.writestr(member, content)
        source = "given.zip"
    elif kind == "unpacked windows zip":
        source = {name.replace("/", "\\"): content for name, content in files.items()}
    ended, about = prepared(source, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert (about["splits"]["train"]["photographs"], about["splits"]["train"]["labels"]) == (2, 2)
    assert not any("\\" in name or "mask" in name.lower() for name in photos(tmp_path))
    first, second = PAIRED[layout].items()
    assert f"{first[0]} - {first[1]}; {second[0]} - {second[1]}" in ended.stderr
    found = sorted(labels(tmp_path).items())
    assert np.array_equal(found[0][1], IDS)
    assert np.array_equal(found[1][1], (IDS + 1) % 3)


SPLITS = {
    "split above": ("{}/images/{}.jpg", "{}/masks/{}.png", ("train", "valid", "test")),
    "split below": ("images/{}/{}.jpg", "annotations/{}/{}.png", ("training", "validation", "testing")),
    "joined": ("{}/{}.jpg", "{}annot/{}.png", ("train", "val", "test")),
    "with year": ("images/{}2017/{}.jpg", "annotations/{}2017/{}.png", ("train", "val", "test")),
    "upper case": ("Images/{}/{}.jpg", "Labels/{}/{}.png", ("Train", "Val", "Test")),
    "beside": ("{}/{}.jpg", "{}/{}_mask.png", ("train", "valid", "test")),
    "underscores": ("{}_images/{}.jpg", "{}_masks/{}.png", ("train", "val", "test")),
}


@pytest.mark.parametrize("layout", SPLITS)
def test_splits_of_the_folders_are_kept_under_one_name(prepared, tmp_path, layout) -> None:
    photo, label, words = SPLITS[layout]
    files = {}
    for index, word in enumerate(words):  # the same name in each split
        files |= {photo.format(word, "a"): PHOTO[index], label.format(word, "a"): archives.png((IDS + index) % 3)}
    ended, about = prepared(files)
    assert ended.returncode == 0, ended.stderr
    assert photos(tmp_path) == ["test/a.jpg", "train/a.jpg", "val/a.jpg"]
    for index, split in enumerate(("train", "val", "test")):
        assert np.array_equal(archives.values(tmp_path / f"out/labels/{split}/a.png"), (IDS + index) % 3)
        assert about["splits"][split]["labels"] == 1


def test_labels_of_the_same_name_beside_photographs_are_told_by_their_content(prepared, tmp_path) -> None:
    files = {"x/a.jpg": PHOTO[0], "x/a.png": PNG, "x/b.jpg": PHOTO[1], "x/b.png": PNG, "x/c.jpg": PHOTO[2]}
    ended, about = prepared(files, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert (len(photos(tmp_path)), about["splits"]["train"]["labels"]) == (3, 2)
    shutil.rmtree(tmp_path / "given")
    own = archives.png(np.asarray(archives.picture(SIZE, 9)))
    ended, about = prepared({"a.jpg": PHOTO[0], "a.png": own, "b.jpg": PHOTO[1], "b.png": PNG}, "--val", 0)
    assert len(photos(tmp_path)) == 4


def test_without_labels_no_folder_s_name_hides_photographs(prepared, tmp_path) -> None:
    names = ["Photos/a.jpg", "Holiday/b.jpg", "frames/2020/c.jpg", "d.jpg"]
    ended, _ = prepared({name: PHOTO[seed] for seed, name in enumerate(names)}, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert photos(tmp_path) == sorted(f"train/{name}" for name in names)
    shutil.rmtree(tmp_path / "given")
    ended, _ = prepared({"masks/a.jpg": PHOTO[0], "masks/b.jpg": PHOTO[1]}, "--val", 0)
    assert photos(tmp_path) == ["train/masks/a.jpg", "train/masks/b.jpg"]


def test_labels_may_be_in_an_archive_of_their_own(prepared, tmp_path) -> None:
    archives.as_zip({"export/a.png": PNG, "export/b.png": PNG}, tmp_path / "labels.zip")
    ended, about = prepared({"a.jpg": PHOTO[0], "b.jpg": PHOTO[1]}, "--labels", "labels.zip", "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert about["splits"]["train"]["labels"] == 2


def test_a_dry_run_shows_pairs_and_classes_before_any_work(prepared, tmp_path) -> None:
    files = {f"images/{name}.jpg": PHOTO[seed] for seed, name in enumerate("abcd")}
    files |= {f"masks/{name}.png": archives.png(IDS * np.uint8(50)) for name in "abcd"}
    ended, about = prepared(files, "--dry-run", "--val", 0)
    assert (ended.returncode, about) == (0, None)
    assert "images/a.jpg - masks/a.png; images/b.jpg - masks/b.png; images/c.jpg - masks/c.png." in ended.stderr
    assert "0 - 0, 50 - 1, 100 - 2" in ended.stderr
    assert not (tmp_path / "out").exists()


def test_instances_overlays_and_coloured_labels_are_passed_over_and_counted(prepared, tmp_path) -> None:
    files = {"x/a.jpg": PHOTO[0], "x/a_labelIds.png": PNG, "x/a_color.png": PNG, "x/a_instanceIds.png": PNG}
    ended, about = prepared(files, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert (photos(tmp_path), about["splits"]["train"]["labels"]) == (["train/x/a.jpg"], 1)
    assert "passed over (instances, overlays, other folders): 2" in ended.stderr


def test_labels_without_a_photograph_are_said(prepared) -> None:
    ended, _ = prepared({"images/a.jpg": PHOTO[0], "masks/a.png": PNG, "masks/z.png": PNG}, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert "belong to no photograph: 1, such as masks/z.png" in ended.stderr


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("{stem}_x.png", ("s/a.jpg", "s/a_x.png")),
        ("truth/{folder}/{stem}.png", ("s/a.jpg", "truth/s/a.png")),
        ("{stem}.labels/1.png", ("s/a.jpg", "s/a.labels/1.png")),
        ("class of {stem}{suffix}.png", ("a.jpg", "class of a.jpg.png")),
    ],
)
def test_a_pattern_names_the_labels(prepared, tmp_path, pattern, names) -> None:
    files = {names[0]: PHOTO[0], names[1]: PNG}
    ended, about = prepared(files, "--val", 0, "--label-pattern", pattern)
    assert ended.returncode == 0, ended.stderr
    assert (len(photos(tmp_path)), about["splits"]["train"]["labels"]) == (1, 1)
    assert about["prepared"]["label_pattern"] == pattern


def test_a_pattern_that_makes_no_sense_is_refused(prepared) -> None:
    for pattern in ("mask.png", "{stem}{name}.png", "{stem"):
        ended, _ = prepared({"a.jpg": PHOTO[0], "mask.png": PNG}, "--label-pattern", pattern)
        assert ended.returncode == 2
        assert "--label-pattern" in ended.stderr
