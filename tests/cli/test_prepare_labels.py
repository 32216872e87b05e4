"""`stego prepare folder` with photographs and labels as people and annotation tools leave them."""

import base64
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.support import archives

SIZE = (24, 16)
IDS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], dtype=np.uint8)
PHOTO = {seed: archives.jpeg(SIZE, seed) for seed in range(12)}
PNG = archives.png(IDS)


@pytest.fixture
def prepared(stego, tmp_path):
    """`prepared(files, ...)`: how the command ended on a folder of these files, and what is in dataset.json."""

    def run(files: "dict[str, bytes] | str", *words: object):
        source = files if isinstance(files, str) else archives.as_folder(files, tmp_path / "given").name
        ended = stego("prepare", "folder", "--source", source, "--out", "out", "--overwrite", *words)
        about = tmp_path / "out/dataset.json"
        return ended, json.loads(about.read_text()) if about.exists() else None

    return run


def photos(tmp_path) -> list[str]:
    return sorted(path.relative_to(tmp_path / "out/imgs").as_posix() for path in (tmp_path / "out/imgs").rglob("*.*g"))


def labels(tmp_path) -> "dict[str, np.ndarray]":
    """All labels of the data set by name, whatever their split."""
    root = tmp_path / "out/labels"
    return {"/".join(file.relative_to(root).parts[1:]): archives.values(file) for file in root.rglob("*.png")}


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


def cvat_export(colours: np.ndarray) -> dict[str, bytes]:
    label = archives.png(colours[IDS])
    return {
        "labelmap.txt": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\nhouse:255,0,0::\nlake:0,0,255::\n",
        "ImageSets/Segmentation/default.txt": b"a\nb\n",
        "SegmentationClass/a.png": label,
        "SegmentationClass/b.png": label,
        "SegmentationObject/a.png": archives.png(COLOURS[(IDS + 1) % 3]),
        "SegmentationObject/b.png": label,
    }


def test_an_export_of_cvat_is_read_with_its_label_map(prepared, tmp_path) -> None:
    archives.as_folder(cvat_export(COLOURS), tmp_path / "cvat")
    files = {"a.jpg": PHOTO[0], "b.jpg": PHOTO[1]}
    for more in ((), ("--palette", "cvat/labelmap.txt")):
        ended, about = prepared(files, "--labels", "cvat", "--val", 0, *more)
        assert ended.returncode == 0, ended.stderr
        assert [each["name"] for each in about["classes"]] == ["background", "house", "lake"]
        assert [each["colour"] for each in about["classes"]] == COLOURS.tolist()
        assert np.array_equal(labels(tmp_path)["a.png"], IDS)


def test_a_voc_layout_keeps_the_splits_of_its_lists(prepared, tmp_path) -> None:
    files = {f"VOC/JPEGImages/{name}.jpg": PHOTO[seed] for seed, name in enumerate("abcd")}
    files |= {f"VOC/SegmentationClass/{name}.png": PNG for name in "abc"}
    files |= {"VOC/ImageSets/Segmentation/train.txt": b"a\nb\n", "VOC/ImageSets/Segmentation/val.txt": b"c\n"}
    ended, _ = prepared(files)
    assert ended.returncode == 0, ended.stderr
    assert photos(tmp_path) == ["train/a.jpg", "train/b.jpg", "val/c.jpg"]
    assert "1 photographs are in no list of a split, and are left out." in ended.stderr


def test_roboflow_s_masks_get_the_names_of_its_classes(prepared, tmp_path) -> None:
    files = {"README.roboflow.txt": b"x"}
    for seed, split in enumerate(("train", "valid", "test")):
        files |= {f"{split}/a_jpg.rf.1.jpg": PHOTO[seed], f"{split}/a_jpg.rf.1_mask.png": PNG}
        files[f"{split}/_classes.csv"] = b"Pixel Value, Class\n0, background\n1, house\n2, lake\n"
    ended, about = prepared(files)
    assert ended.returncode == 0, ended.stderr
    assert [each["name"] for each in about["classes"]] == ["background", "house", "lake"]
    assert {name: each["labels"] for name, each in about["splits"].items()} == {"train": 1, "val": 1, "test": 1}


SQUARE = [[2, 2], [9, 2], [9, 9], [2, 9]]
TRIANGLE = [[12, 4], [20, 4], [12, 12]]


def drawn() -> np.ndarray:
    """Background, a square of class 1 and a triangle of class 2, as far as no border is in question."""
    ids = np.zeros((16, 24), dtype=np.uint8)
    ids[3:9, 3:9] = 1
    ids[5:7, 13:16] = 2
    return ids


def agrees(found: np.ndarray) -> bool:
    """Inside and outside of the shapes, but for their borders, which every program draws a little otherwise."""
    wanted = drawn()
    outside = np.ones_like(wanted, dtype=bool)
    outside[1:11, 1:11] = outside[3:14, 11:22] = False
    sure = (wanted > 0) | outside
    return bool(np.array_equal(found[sure], wanted[sure]))


def labelme_file(**more: object) -> bytes:
    shapes = [
        {"label": "house", "points": SQUARE, "shape_type": "polygon", "group_id": None, "flags": {}},
        {"label": "lake", "points": TRIANGLE, "shape_type": "polygon", "flags": {}},
        {"label": "lake", "points": [[1, 1]], "shape_type": "point", "flags": {}},
    ]
    return json.dumps({"version": "5.4", "imageHeight": 16, "imageWidth": 24, "shapes": shapes, **more}).encode()


def coco_file(**more: object) -> bytes:
    flat = [[float(value) for point in points for value in point] for points in (SQUARE, TRIANGLE)]
    annotations = [
        {"id": 1, "image_id": 7, "category_id": 1, "segmentation": [flat[0]], "area": 49, "bbox": [2, 2, 7, 7]},
        {"id": 2, "image_id": 7, "category_id": 5, "segmentation": [flat[1]], "area": 32, "iscrowd": 0},
    ]
    names = {0: ("things", "none"), 5: ("lake", "things"), 1: ("house", "things")}
    categories = [{"id": key, "name": name, "supercategory": above} for key, (name, above) in names.items()]
    images = [{"id": 7, "file_name": "a.jpg", "width": 24, "height": 16}]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories, **more}).encode()


def cvat_xml() -> bytes:
    points = [";".join(f"{x},{y}" for x, y in each) for each in (SQUARE, TRIANGLE)]
    return f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><labels><label><name>house</name></label><label><name>lake</name></label>
</labels></job></meta>
<image id="0" name="a.jpg" width="24" height="16">
<polygon label="lake" occluded="0" points="{points[1]}" z_order="0"/>
<polygon label="house" occluded="0" points="{points[0]}" z_order="0"/>
<tag label="house"/></image></annotations>""".encode()


@pytest.mark.parametrize(
    ("tool", "files"),
    [
        ("labelme", {"a.json": labelme_file()}),
        ("COCO", {"annotations/instances_default.json": coco_file()}),
        ("Roboflow", {"_annotations.coco.json": coco_file()}),
        ("CVAT", {"annotations.xml": cvat_xml()}),
    ],
)
def test_polygons_of_common_tools_are_drawn(prepared, tmp_path, tool, files) -> None:
    ended, about = prepared({"a.jpg": PHOTO[0], "b.jpg": PHOTO[1], **files}, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert [each["name"] for each in about["classes"]] == ["background", "house", "lake"]
    assert agrees(labels(tmp_path)["a.png"])
    assert about["splits"]["train"]["labels"] == 1
    assert "1 of 2 photographs have no label." in ended.stderr


def test_coco_files_of_several_splits_and_run_lengths(prepared, tmp_path) -> None:
    mask = drawn() == 1
    runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], mask.T.ravel(), [0]]))), prepend=0)
    counts = [*runs.tolist(), mask.size - int(runs.sum())]
    rle = {"id": 1, "image_id": 7, "category_id": 1, "segmentation": {"size": [16, 24], "counts": counts}, "iscrowd": 1}
    files = {}
    for seed, split in enumerate(("train", "valid")):
        files |= {f"{split}/a.jpg": PHOTO[seed], f"{split}/_annotations.coco.json": coco_file(annotations=[rle])}
    ended, _ = prepared(files)
    assert ended.returncode == 0, ended.stderr
    for split in ("train", "val"):
        assert np.array_equal(archives.values(tmp_path / f"out/labels/{split}/a.png"), mask.astype(np.uint8))


def test_masks_and_ignored_shapes_of_labelme(prepared, tmp_path) -> None:
    inside = archives.png(np.full((4, 5), 255, dtype=np.uint8))
    shapes = [
        {"label": "house", "points": [[2, 3], [6, 6]], "shape_type": "mask", "mask": base64.b64encode(inside).decode()},
        {"label": "__ignore__", "points": [[20, 10], [23, 15]], "shape_type": "rectangle"},
    ]
    ended, about = prepared({"a.jpg": PHOTO[0], "a.json": labelme_file(shapes=shapes)}, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    expected = np.zeros((16, 24))
    expected[3:7, 2:7], expected[10:, 20:] = 1, 255
    assert np.array_equal(labels(tmp_path)["a.png"], expected)
    assert [each["name"] for each in about["classes"]] == ["background", "house"]


@pytest.mark.parametrize(
    "content",
    [
        coco_file(annotations=[{"image_id": 7, "category_id": 9, "segmentation": [[1, 1, 5, 5, 1, 5]]}]),
        coco_file(images=[{"id": 7, "file_name": "a.jpg", "width": "wide", "height": 16}]),
        b'{"images": [], "annotations": [1], "categories": []}',
        b'{"images": {}, "annotations": null, "categories": 1}',
    ],
)
def test_a_broken_annotation_file_gets_one_sentence(prepared, content) -> None:
    ended, _ = prepared({"a.jpg": PHOTO[0], "annotations.json": content})
    assert ended.returncode == 4
    assert ended.stderr.count("Error: ") == 1
    assert "annotations.json" in ended.stderr


def test_binary_labels_of_0_and_255_are_two_classes(prepared, tmp_path) -> None:
    binary = np.where(IDS == 1, 255, 0).astype(np.uint8)
    files = {"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(binary)}
    ended, about = prepared(files, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels(tmp_path)["a.png"], IDS == 1)
    assert [each["name"] for each in about["classes"]] == ["class 0", "class 255"]
    assert about["values"] == [0, 255]
    assert "no values but 0, 255, so 255 is a class, and not void" in ended.stderr
    (tmp_path / "names.txt").write_text("ground\nhouse\n")
    ended, about = prepared(files, "--val", 0, "--classes", "names.txt")
    assert [each["name"] for each in about["classes"]] == ["ground", "house"]
    assert np.array_equal(labels(tmp_path)["a.png"], IDS == 1)
    ended, about = prepared(files, "--val", 0, "--void", 255)
    assert (len(about["classes"]), about["splits"]["train"]["void"]) == (1, 128)


def test_255_beside_several_values_is_void(prepared) -> None:
    label = np.where(IDS == 2, 255, IDS).astype(np.uint8)
    _, about = prepared({"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(label)}, "--val", 0)
    assert (len(about["classes"]), about["splits"]["train"]["void"]) == (2, 128)
    assert "values" not in about


@pytest.mark.parametrize("values", [(0, 5, 100, 201), (10, 20, 30, 40), (1, 2, 3, 4), (0, 1, 300, 40_000)])
def test_numbers_with_gaps_become_as_many_classes_and_the_mapping_is_kept(prepared, stego, tmp_path, values) -> None:
    ids = (np.arange(24 * 16).reshape(16, 24) // 5 % 4).astype(np.uint16)
    label = np.array(values, dtype=np.uint16)[ids]
    given = label if max(values) > 255 else label.astype(np.uint8)
    ended, about = prepared({"images/val/a.jpg": PHOTO[0], "masks/val/a.png": archives.png(given)})
    assert ended.returncode == 0, ended.stderr
    assert about["values"] == list(values)
    assert [each["name"] for each in about["classes"]] == [f"class {value}" for value in values]
    assert np.array_equal(labels(tmp_path)["a.png"], ids)
    assert f"{values[0]} - 0, {values[1]} - 1" in ended.stderr
    archives.as_folder({"val/a.png": archives.png(ids.astype(np.uint8))}, tmp_path / "masks")
    ended = stego("score", "--pred", "masks", "--gt", "out", "--json", "-")
    score = json.loads(ended.stdout.splitlines()[0] if ended.stdout.startswith('{"') else ended.stdout)
    assert score["accuracy"] == 100
    assert [each["name"] for each in score["per_class"]] == [f"class {value}" for value in values]


def test_a_remapping_decides_and_what_is_not_in_it_is_void_and_said(prepared, tmp_path) -> None:
    label = np.array([0, 100, 201], dtype=np.uint8)[IDS]
    (tmp_path / "remap.txt").write_text("100 0\n201 1\n")
    files = {"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(label)}
    ended, about = prepared(files, "--val", 0, "--remap", "remap.txt")
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels(tmp_path)["a.png"], np.array([255, 0, 1])[IDS])
    assert "not in the remapping become void: 0." in ended.stderr
    assert len(about["classes"]) == 2


@pytest.mark.parametrize("border", [False, True])
def test_a_value_that_is_void_is_given_and_every_command_follows(prepared, stego, tmp_path, border) -> None:
    label = IDS.copy()
    if border:
        label[0, :4] = 255
    files = {"images/val/a.jpg": PHOTO[0], "masks/val/a.png": archives.png(label)}
    ended, about = prepared(files, "--void", 0)
    assert ended.returncode == 0, ended.stderr
    expected = np.where(label == 255, 255, np.array([255, 0, 1])[np.minimum(label, 2)])
    assert np.array_equal(labels(tmp_path)["a.png"], expected)
    assert ([each["name"] for each in about["classes"]], about["void"]) == (["class 1", "class 2"], 255)
    (tmp_path / "names.txt").write_text("house\nlake\n")
    ended, about = prepared(files, "--void", 0, "--classes", "names.txt")
    assert np.array_equal(labels(tmp_path)["a.png"], expected)
    archives.as_folder({"val/a.png": archives.png(np.maximum(IDS, 1) - np.uint8(1))}, tmp_path / "masks")
    ended = stego("score", "--pred", "masks", "--gt", "out", "--json", "s.json")
    score = json.loads((tmp_path / "s.json").read_text())
    assert (score["accuracy"], score["ignored_pixels"]) == (100, int((expected == 255).sum()))


def test_a_foreground_of_255_and_0_as_void(prepared, tmp_path) -> None:
    label = np.where(IDS == 1, 255, 0).astype(np.uint8)
    ended, about = prepared({"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(label)}, "--val", 0, "--void", "0")
    assert ended.returncode == 0, ended.stderr
    assert len(about["classes"]) == 1
    assert np.array_equal(labels(tmp_path)["a.png"], np.where(IDS == 1, 0, 255))


def test_colours_are_refused_by_name_or_become_classes(prepared, tmp_path) -> None:
    files = {"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(COLOURS[IDS])}
    ended, _ = prepared(files, "--val", 0)
    assert ended.returncode == 2
    for word in ("#000000, #0000ff, #ff0000", "--palette auto"):
        assert word in ended.stderr
    assert not (tmp_path / "out").exists()
    ended, about = prepared(files, "--val", 0, "--palette", "auto")
    assert ended.returncode == 0, ended.stderr
    assert [each["name"] for each in about["classes"]] == ["#000000", "#0000ff", "#ff0000"]
    assert np.array_equal(labels(tmp_path)["a.png"], np.array([0, 2, 1])[IDS])


def test_equal_channels_are_numbers_unless_other_labels_have_colours(prepared, tmp_path) -> None:
    grey = {"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(np.dstack([IDS] * 3))}
    ended, _ = prepared(grey, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels(tmp_path)["a.png"], IDS)
    black = {"images/b.jpg": PHOTO[1], "masks/b.png": archives.png(np.zeros((16, 24, 3), dtype=np.uint8))}
    files = {"images/c.jpg": PHOTO[2], "masks/c.png": archives.png(COLOURS[IDS])} | black
    shutil.rmtree(tmp_path / "given")
    ended, _ = prepared(files, "--val", 0, "--palette", "auto")
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels(tmp_path)["b.png"], np.zeros((16, 24)))


def test_a_photograph_as_label_has_too_many_colours(prepared) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    files = {"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(noise)}
    for more in ((), ("--palette", "auto")):
        ended, _ = prepared(files, "--val", 0, *more)
        assert ended.returncode == 2
    assert "smooth edges" in ended.stderr


def saved(array: np.ndarray, kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, array)
    elif kind == "npz":
        np.savez(stream, array)
    elif kind == "mat":
        return archives.mat(gt=array)
    else:
        Image.fromarray(array).save(stream, kind, **how)
    return stream.getvalue()


FORMATS = {"tif": "TIFF", "gif": "GIF", "bmp": "BMP", "pgm": "PPM", "npy": "npy", "npz": "npz", "mat": "mat"}


@pytest.mark.parametrize(("suffix", "kind"), FORMATS.items())
def test_labels_of_lossless_formats_are_read(prepared, tmp_path, suffix, kind) -> None:
    files = {"images/d.JPG": PHOTO[0], f"labels/D.{suffix}": saved(IDS, kind)}
    ended, about = prepared(files, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels(tmp_path)["d.png"], IDS)
    assert len(about["classes"]) == 3


def test_a_gif_of_few_numbers_keeps_them_though_its_indices_are_others(prepared, tmp_path) -> None:
    label = np.array([0, 100, 201], dtype=np.uint8)[IDS]
    ended, about = prepared({"images/a.jpg": PHOTO[0], "labels/a.gif": saved(label, "GIF")}, "--val", 0)
    assert ended.returncode == 0, ended.stderr
    assert about["values"] == [0, 100, 201]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a_mask.jpg"])
def test_jpeg_labels_are_refused_with_the_reason(prepared, name) -> None:
    files = {"images/a.jpg": PHOTO[0], f"labels/{name}": saved(IDS * 99, "JPEG")}
    files |= {"images/b.jpg": PHOTO[1], "labels/b.png": PNG}
    ended, about = prepared(files, "--val", 0)
    assert ended.returncode == 3, ended.stderr
    assert "train/a: a JPEG picture, whose values are not exact; save labels as PNG" in ended.stderr
    assert about["splits"]["train"]["photographs"] == 1


def test_a_turned_label_is_left_out_by_name(prepared) -> None:
    files = {"images/a.jpg": PHOTO[0], "labels/a.png": archives.png(np.ascontiguousarray(IDS.T))}
    files |= {"images/b.jpg": PHOTO[1], "labels/b.png": PNG}
    ended, _ = prepared(files, "--val", 0)
    assert ended.returncode == 3
    assert "train/a: the photograph has 24 x 16 pixels, its label 16 x 24" in ended.stderr


def test_values_beyond_the_classes_are_said(prepared) -> None:
    files = {f"images/{name}.jpg": PHOTO[seed] for seed, name in enumerate("abc")}
    files |= {f"labels/{name}.png": archives.png(IDS % 2) for name in "ab"} | {"labels/c.png": PNG}
    ended, _ = prepared(files, "--val", 0, "--classes", 2)
    assert ended.returncode == 3
    assert "the values 2, and the 2 classes are 0 to 1" in ended.stderr
    assert "train/c: its label has class 2" in ended.stderr
    files = {f"labels/{name}.png": archives.png(IDS + np.uint8(9)) for name in "abc"}
    ended, _ = prepared(files, "--val", 0, "--classes", 2)
    assert ended.returncode == 2
    assert "--remap" in ended.stderr


def frames(step: int) -> dict[str, bytes]:
    """A camera that moves over a wide picture, so that each frame is nearly the one before it."""
    width = 160 + 70 * step
    blobs = np.random.default_rng(0).integers(0, 256, (6, width // 20, 3), dtype=np.uint8)
    wide = Image.fromarray(blobs).resize((width, 120), Image.Resampling.BICUBIC)
    found = {}
    for index in range(70):
        stream = io.BytesIO()
        wide.crop((index * step, 0, index * step + 160, 120)).save(stream, "JPEG", quality=92)
        found[f"frame_{index}.jpg"] = stream.getvalue()
    return found


@pytest.mark.parametrize("step", [1, 2, 5])
def test_frames_of_a_moving_camera_fill_both_splits_and_are_cut_in_time(prepared, tmp_path, step) -> None:
    all_frames = frames(step)
    ended, about = prepared({f"frame_{index}.jpg": all_frames[f"frame_{index}.jpg"] for index in range(60)})
    assert ended.returncode == 0, ended.stderr
    assert {name: each["photographs"] for name, each in about["splits"].items()} == {"train": 48, "val": 12}
    val = sorted(int(name.partition("_")[2][:-4]) for name in photos(tmp_path) if name.startswith("val/"))
    assert val == list(range(48, 60))
    assert "60 photographs follow each other closely" in ended.stderr
    first = set(photos(tmp_path))
    ended, about = prepared(all_frames)  # where it is prepared again, none moves and new ones follow
    assert first <= set(photos(tmp_path))
    assert about["splits"]["val"]["photographs"] == 22


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_few_photographs_fill_both_splits_too(prepared, count) -> None:
    for start in range(4):
        _, about = prepared({f"{seed}.jpg": PHOTO[seed + start] for seed in range(count)})
        assert all(about["splits"][split]["photographs"] for split in ("train", "val"))
