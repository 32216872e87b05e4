"""`stego prepare folder` with the exports of annotation tools: CVAT, VOC, Roboflow, labelme, COCO, polygons in XML."""

import base64
import json

import numpy as np
import pytest

from tests.support import archives
from tests.support.labelled import COLOURS, IDS, PHOTO, PNG, labels, photos


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
