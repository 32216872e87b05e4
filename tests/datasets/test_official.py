"""Each data set in its official layout, to the pixel."""

import io

import numpy as np
import pytest
from PIL import Image

from stego_cli.classes import TABLES
from stego_cli.datasets.about import read_about
from stego_cli.datasets.cocostuff27 import fine_to_coarse
from stego_cli.errors import SourceError


def test_voc_keeps_photographs_and_labels_byte_for_byte_and_its_own_split(official, make, tmp_path) -> None:
    files = official.voc_files()
    prepared = make("voc2012", official.as_tar(files, tmp_path / "VOCtrainval_11-May-2012.tar"))
    out, root = tmp_path / "out", "VOCdevkit/VOC2012/"
    for split, names in (("train", official.VOC_TRAIN), ("val", official.VOC_VAL)):
        assert (out / "lists" / f"{split}.txt").read_text().split() == list(names)
        assert sorted(path.stem for path in (out / "imgs" / split).iterdir()) == sorted(names)
        for name in names:
            assert (out / "imgs" / split / f"{name}.jpg").read_bytes() == files[f"{root}JPEGImages/{name}.jpg"]
            label = files[f"{root}SegmentationClass/{name}.png"]
            assert (out / "labels" / split / f"{name}.png").read_bytes() == label
    assert sorted(path.name for path in out.iterdir()) == ["contact.jpg", "dataset.json", "imgs", "labels", "lists"]
    train = prepared.about.splits["train"]
    assert (train.photographs, train.labels) == (3, 3)
    everything = np.concatenate([official.values(file).ravel() for file in (out / "labels" / "train").iterdir()])
    assert train.pixels == np.bincount(everything, minlength=256)[:21].tolist()
    assert train.void == np.count_nonzero(everything == 255) > 0
    assert sum(train.images) == 6  # background and one class each


def test_dataset_json_tells_names_colours_and_void(official, make, tmp_path) -> None:
    make("voc2012", official.as_tar(official.voc_files(), tmp_path / "voc.tar"))
    about = read_about(tmp_path / "out")
    assert about is not None
    assert about.name == "voc2012"
    assert about.table == TABLES["voc2012"]
    own = official.voc_palette()
    assert [list(colour) for colour in about.table.colours] == [own[at : at + 3] for at in range(0, 63, 3)]


def test_voc_photographs_of_no_split_are_taken_when_asked_for(official, make, tmp_path) -> None:
    make("voc2012", official.as_tar(official.voc_files(), tmp_path / "voc.tar"), unlabelled=True)
    assert sorted(path.stem for path in (tmp_path / "out/imgs/unlabelled").iterdir()) == list(official.VOC_OTHERS)
    assert not (tmp_path / "out/labels/unlabelled").exists()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz", "zip", "folder", "folder with the archive"])
def test_every_kind_of_source_gives_the_same(official, make, tmp_path, kind) -> None:
    files = official.voc_files()
    make("voc2012", official.as_folder(files, tmp_path / "plain"))
    source = tmp_path / f"voc.{kind}"
    if kind == "zip":
        official.as_zip(files, source)
    elif kind.startswith("tar"):
        official.as_tar(files, source, {"tar": "w", "tar.gz": "w:gz", "tar.xz": "w:xz"}[kind])
    elif kind == "folder":
        official.as_folder({name.removeprefix("VOCdevkit/"): content for name, content in files.items()}, source)
    else:
        source.mkdir()
        official.as_tar(files, source / "voc.tar")
    make("voc2012", source, out=tmp_path / "second")
    first, second = (official.contents(tmp_path / name) for name in ("out", "second"))
    assert {**first, "dataset.json": b""} == {**second, "dataset.json": b""}


def test_voc_without_labels_is_prepared_and_said(official, make, tmp_path, recorder) -> None:
    files = {name: content for name, content in official.voc_files().items() if "SegmentationClass" not in name}
    prepared = make("voc2012", official.as_tar(files, tmp_path / "voc.tar"), progress=recorder)
    assert prepared.about.table is None
    assert prepared.about.splits["train"].labels == 0
    assert any("no labels" in text for text in recorder.notes)


def test_coco_groups_cover_all_values_once_and_stand_where_the_hierarchy_puts_them() -> None:
    classes, names = fine_to_coarse(), TABLES["cocostuff27"].names
    assert sorted(classes) == list(range(182))
    by_name = {
        0: "person",
        1: "vehicle",
        9: "outdoor",
        15: "animal",
        25: "accessory",
        33: "sports",
        43: "kitchen",
        51: "food",
        61: "furniture",
        71: "electronic",
        77: "appliance",
        83: "indoor",
        101: "ceiling",
        117: "floor",
        152: "food-stuff",
        97: "furniture-stuff",
        142: "raw material",
        103: "textile",
        172: "wall",
        179: "window",
        157: "building",
        148: "ground",
        168: "plant",
        105: "sky",
        149: "solid",
        98: "structural",
        154: "water",
    }
    assert {value: names[classes[value]] for value in by_name} == by_name
    assert [list(classes.values()).count(index) for index in range(27)] == [
        6,
        6,
        10,
        10,
        8,
        8,
        8,
        10,
        6,
        1,
        10,
        8,
        2,
        6,
        4,
        11,
        4,
        11,
        7,
        2,
        6,
        11,
        9,
        2,
        6,
        5,
        5,
    ]


def test_coco_labels_become_27_classes_and_the_curated_lists_decide(official, make, tmp_path) -> None:
    files = official.coco_files()
    prepared = make("cocostuff27", official.as_folder(files, tmp_path / "coco"))
    out = tmp_path / "out"
    assert (out / "lists/train.txt").read_text().split() == ["000000000030", "000000000009"]
    assert (out / "lists/val.txt").read_text().split() == ["000000000285"]
    mapping = np.full(256, 255, dtype=np.uint8)
    for value, index in fine_to_coarse().items():
        mapping[value] = index
    for split, name in (("train", "000000000009"), ("train", "000000000030"), ("val", "000000000285")):
        label = official.values(tmp_path / f"coco/annotations/{split}2017/{name}.png")
        with Image.open(out / f"labels/{split}/{name}.png") as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), mapping[label])
            own = [channel for colour in TABLES["cocostuff27"].colours for channel in colour]
            assert mask.getpalette()[:81] == own
    assert all(prepared.about.splits["train"].pixels)


def test_coco_archives_and_lists_may_come_apart(official, make, tmp_path, recorder) -> None:
    files = official.coco_files()
    parts = {
        "train2017.zip": "train2017/",
        "val2017.zip": "val2017/",
        "stuffthingmaps_trainval2017.zip": "annotations/",
    }
    for name, start in parts.items():
        part = {key.removeprefix("annotations/"): value for key, value in files.items() if key.startswith(start)}
        official.as_zip(part, tmp_path / name)
    official.as_folder({key: value for key, value in files.items() if key.startswith("curated")}, tmp_path / "own")
    make("cocostuff27", *(tmp_path / name for name in parts), lists=tmp_path / "own")
    assert (tmp_path / "out/lists/val.txt").read_text() == "000000000285\n"
    make("cocostuff27", *(tmp_path / name for name in parts), out=tmp_path / "all", progress=recorder)
    assert (tmp_path / "all/lists/val.txt").read_text().split() == ["000000000139", "000000000285"]
    assert any("Coco164kFull_Stuff_Coarse_7.txt" in text for text in recorder.notes)


def test_cityscapes_ids_lose_7_and_all_others_are_void(official, make, tmp_path) -> None:
    files = official.cityscapes_files()
    photos = {name: content for name, content in files.items() if name.startswith("leftImg8bit")}
    labels = {name: content for name, content in files.items() if name.startswith("gtFine")}
    sources = [
        official.as_zip(photos, tmp_path / "leftImg8bit_trainvaltest.zip"),
        official.as_zip(labels, tmp_path / "gtFine_trainvaltest.zip"),
    ]
    make("cityscapes", *sources)
    stem = "aachen_000000_000019"
    given = np.asarray(Image.open(io.BytesIO(files[f"gtFine/train/aachen/{stem}_gtFine_labelIds.png"])))
    expected = np.where((given >= 7) & (given <= 33), given.astype(int) - 7, 255)
    assert set(given.ravel()) == {*range(36), 255}
    assert np.array_equal(official.values(tmp_path / f"out/labels/train/{stem}.png"), expected)
    photo = files[f"leftImg8bit/train/aachen/{stem}_leftImg8bit.png"]
    assert (tmp_path / f"out/imgs/train/{stem}.png").read_bytes() == photo
    assert sorted(path.name for path in (tmp_path / "out/imgs").iterdir()) == ["train", "val"]


def test_potsdam_crops_join_six_classes_in_pairs(official, make, tmp_path) -> None:
    from scipy.io import loadmat

    source = official.as_folder(official.potsdam_mat_files(), tmp_path / "given") / "potsdam"
    make("potsdam3", source, unlabelled=True)
    joined = np.full(256, 255)
    joined[:6] = [0, 1, 2, 2, 0, 1]
    for split, name in (("train", "12_0_3"), ("train", "7_14_2"), ("val", "30_1_1")):
        rgb = official.values(tmp_path / f"out/imgs/{split}/{name}.png")
        assert np.array_equal(rgb, loadmat(source / f"imgs/{name}.mat")["img"][..., :3])
        label = official.values(tmp_path / f"out/labels/{split}/{name}.png")
        assert np.array_equal(label, joined[loadmat(source / f"gt/{name}.mat")["gt"]])
    assert (tmp_path / "out/imgs/unlabelled/2_2_2.png").is_file()


def test_potsdam_tiles_are_halved_cut_and_split_as_the_hosts_do(official, make, tmp_path) -> None:
    files = official.potsdam_tif_files()
    make("potsdam3", official.as_folder(files, tmp_path / "given"))
    out = tmp_path / "out"
    assert len(list((out / "imgs/train").iterdir())) == len(list((out / "labels/val").iterdir())) == 10
    for split, tile, shift in (("train", "2_10", 0), ("val", "7_13", 1)):
        ids = (np.arange(800)[:, None] // 90 + np.arange(2000)[None] // 70 + shift) % 6
        expected = np.array([0, 1, 2, 2, 0, 1])[ids][1::2, 1::2]
        with Image.open(tmp_path / f"given/2_Ortho_RGB/top_potsdam_{tile}_RGB.tif") as image:
            half = np.asarray(image.reduce(2))
        for row in range(2):
            for column in range(5):
                place = np.s_[200 * row : 200 * row + 200, 200 * column : 200 * column + 200]
                name = f"{split}/{tile}_{row}_{column}.png"
                assert np.array_equal(official.values(out / "labels" / name), expected[place])
                assert np.array_equal(official.values(out / "imgs" / name), half[place])


@pytest.mark.parametrize("name", ["voc2012", "cocostuff27", "cityscapes", "potsdam3"])
def test_a_source_of_another_data_set_is_refused_and_leaves_nothing(official, make, tmp_path, name) -> None:
    files = official.cityscapes_files() if name == "voc2012" else official.voc_files()
    source = official.as_zip(files, tmp_path / "given.zip")
    with pytest.raises(SourceError, match="is not"):
        make(name, source)
    assert list(tmp_path.iterdir()) == [source]
