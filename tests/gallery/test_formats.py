"""Hand-over formats: what is written is what the masks say, comes back the same, and loads in pycocotools."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import dropped, joined, renamed
from stego_cli.errors import NoInputError, UsageError
from stego_cli.gallery.formats import FORMATS
from stego_cli.gallery.formats.common import Shaping
from stego_cli.gallery.formats.polygons import paint, polygons, ring, without_holes
from stego_cli.gallery.mask_tree import MaskTree, open_masks
from stego_cli.gallery.remap import change_classes
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.convert import ConvertSettings, convert

NAMES = ["a.png", "b.png", "x/a.png", "line\nend.png", "<b>&amp;.png"]
NASTY = '<img src=x> "quoted"\\ & é 😀'
READABLE = [name for name, row in FORMATS.items() if row.reads]


@pytest.fixture
def tree(make_masks) -> MaskTree:
    masks = make_masks(NAMES)
    edits = dropped(renamed(joined(ClassEdits(6), [3, 1], "road"), {0: NASTY}), [4])
    change_classes(masks, edits, Quiet(), Stop())
    return open_masks(masks)


def to(tree: MaskTree, name: str, shaping: Shaping | None = None, **more: object) -> Path:
    out = tree.root.with_name(f"out-{name}")
    convert(ConvertSettings(tree.root, out, name, shaping=shaping or Shaping(), **more), Quiet())
    return out


def by_name(tree: MaskTree) -> dict[str, list[np.ndarray]]:
    """Return, for each photograph, a plane of truth for each class's name."""
    names = {value: " ".join(name.split()) for value, name in tree.edits.names.items() if name != "void"}
    return {entry.path: {name: tree.labels(entry) == value for value, name in names.items()} for entry in tree.entries}


@pytest.mark.parametrize("name", READABLE)
def test_what_is_written_along_the_pixels_edges_comes_back_the_same(tree, name):
    exact = name in ("coco", "cvat", "voc", "npz")
    out = to(tree, name, Shaping(None if exact else 0.0, with_photos=True))
    back = tree.root.with_name("back")
    result = convert(ConvertSettings(out, back, name, back=True), Quiet())
    assert result.failed == []
    wanted, got = by_name(tree), by_name(open_masks(back))
    assert set(wanted) == set(got)
    for path, planes in wanted.items():
        for class_name, plane in planes.items():
            assert np.array_equal(plane, got[path].get(class_name, np.zeros_like(plane))), (path, class_name)


@pytest.mark.parametrize("name", ["coco", "cvat", "yolo-seg", "labelme", "geojson", "label-studio"])
def test_polygons_with_a_tolerance_stay_near_the_masks(tree, name):
    out = to(tree, name, Shaping(1.0, with_photos=True))
    back = tree.root.with_name("back")
    convert(ConvertSettings(out, back, name, back=True), Quiet())
    wanted, got = by_name(tree), by_name(open_masks(back))
    same = [
        (plane == got[path].get(class_name, np.zeros_like(plane))).mean()
        for path, planes in wanted.items()
        for class_name, plane in planes.items()
    ]
    assert np.mean(same) > 0.97


@pytest.mark.parametrize("tolerance", [None, 0.0])
def test_coco_loads_in_pycocotools_and_its_masks_are_those(tree, tolerance, capsys):
    out = to(tree, "coco", Shaping(tolerance))
    coco = COCO(str(out / "annotations/instances_default.json"))
    capsys.readouterr()  # it talks
    assert {each["name"] for each in coco.dataset["categories"]} == {NASTY, "class 2", "road", "class 5"}
    for image in coco.loadImgs(coco.getImgIds()):
        labels = tree.labels(next(entry for entry in tree.entries if entry.path == image["file_name"]))
        values = {name: value for value, name in tree.edits.names.items()}
        union = {value: np.zeros(labels.shape, bool) for value in values.values()}
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            inside = coco.annToMask(annotation).astype(bool)
            union[values[coco.loadCats(annotation["category_id"])[0]["name"]]] |= inside
            left, top, _, height = annotation["bbox"]
            assert not inside[:, : int(left)].any()
            assert not inside[int(np.ceil(top + height)) :].any()
            assert inside.sum() == pytest.approx(annotation["area"], rel=0.02, abs=2)
        for value in set(values.values()) - {255}:
            # Its polygons are drawn with a rule of its own, by which an outline's own pixels may differ.
            differing = union[value] != (labels == value)
            assert not differing.any() if tolerance is None else differing.mean() < 0.03


def test_the_table_adds_up(tree):
    with (to(tree, "csv") / "areas.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for entry in tree.entries:
        own = [row for row in rows if row["photograph"] == entry.path]
        labels = tree.labels(entry)
        assert {int(row["value"]): int(row["pixels"]) for row in own if row["pixels"] != "0"} == entry.pixels
        assert sum(int(row["pixels"]) for row in own) == labels.size
        assert sum(float(row["share"]) for row in own) == pytest.approx(1, abs=1e-5)


def test_regions_have_holes_small_ones_go_and_neighbours_keep_one_border():
    labels = np.zeros((40, 60), np.uint8)
    labels[5:30, 5:40] = 1
    labels[10:20, 10:20] = 2
    labels[12, 30] = 3
    labels[35:, :] = 255
    found = polygons(labels, 0, 0)
    assert [value for value, _ in found] == [0, 1, 2, 3]
    assert {value: len(shape.interiors) for value, shape in found} == {0: 1, 1: 2, 2: 0, 3: 0}
    assert np.array_equal(paint([(v, rings_of(s)) for v, s in found], 40, 60), labels)
    pieces = [(value, piece) for value, shape in found for piece in without_holes(shape)]
    assert all(not piece.interiors for _, piece in pieces)
    assert np.array_equal(paint([(v, rings_of(s)) for v, s in pieces], 40, 60), labels)
    large = polygons(labels, 0, 5)
    assert [value for value, _ in large] == [0, 1, 2]
    assert {value: len(shape.interiors) for value, shape in large}[1] == 1
    wavy = (np.add.outer(np.arange(200), (20 * np.sin(np.arange(300) / 17)).astype(int)) > 100).astype(np.uint8)
    smooth = polygons(wavy, 3, 0)
    assert sum(shape.area for _, shape in smooth) == pytest.approx(wavy.size)
    assert smooth[0][1].intersection(smooth[1][1]).area == pytest.approx(0, abs=1e-6)
    assert len(smooth[0][1].exterior.coords) < len(polygons(wavy, 0, 0)[0][1].exterior.coords) / 2


def rings_of(shape) -> list:
    return [ring(shape.exterior.coords), *(ring(hole.coords) for hole in shape.interiors)]


def test_photographs_are_put_where_the_format_has_them(tree):
    assert (to(tree, "voc", Shaping(with_photos=True)) / "JPEGImages/x/a.png").is_file()
    assert (to(tree, "coco", Shaping(with_photos=True)) / "images/x/a.png").is_file()
    assert (to(tree, "yolo-seg", Shaping(with_photos=True)) / "images/x/a.png").is_file()


def test_many_photographs_are_encoded_in_processes(make_masks):
    tree = open_masks(make_masks([f"{number}.png" for number in range(70)], size=(12, 16)))
    file = to(tree, "coco", Shaping(0.0)) / "annotations/instances_default.json"
    images = json.loads(file.read_text())["images"]
    assert [image["file_name"] for image in images] == [entry.path for entry in tree.entries]


def test_a_folder_with_something_in_it_is_refused(tree):
    out = to(tree, "npz")
    with pytest.raises(UsageError, match="there already"):
        to(tree, "npz")
    assert to(tree, "npz", overwrite=True) == out


def test_what_cannot_be_converted_is_listed_and_the_rest_done(tree):
    (tree.root / "a.png").write_bytes(b"")
    out = tree.root.with_name("out")
    result = convert(ConvertSettings(tree.root, out, "npz"), Quiet())
    assert [path for path, _ in result.failed] == ["a.png"]
    assert result.photographs == len(NAMES) - 1


@pytest.mark.parametrize("name", READABLE)
def test_what_is_not_of_that_format_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        convert(ConvertSettings(tmp_path / "empty", tmp_path / "out", name, back=True), Quiet())


def test_a_path_that_leads_out_of_the_folder_is_refused(tree, tmp_path):
    out = to(tree, "coco")
    file = out / "annotations/instances_default.json"
    content = json.loads(file.read_text())
    for wrong in ("../evil.png", "/evil.png", "x\\..\\..\\evil.png", ""):
        content["images"][0]["file_name"] = wrong
        file.write_text(json.dumps(content))
        with pytest.raises(UsageError, match="leads out"):
            convert(ConvertSettings(out, tmp_path / "back", "coco", back=True), Quiet())
    assert not list(tmp_path.rglob("evil*"))


def test_xml_that_declares_entities_is_refused(tmp_path):
    (tmp_path / "annotations.xml").write_text('<!DOCTYPE a [<!ENTITY x "y">]><annotations/>')
    with pytest.raises(UsageError, match="entities"):
        convert(ConvertSettings(tmp_path, tmp_path / "out", "cvat", back=True), Quiet())


def test_unknown_formats_and_ways_are_refused(tree):
    with pytest.raises(UsageError, match="no format"):
        to(tree, "xml")
    with pytest.raises(UsageError, match="cannot be read back"):
        convert(ConvertSettings(tree.root, tree.root, "csv", back=True), Quiet())
    (tree.root / ".stego/run.json").unlink()
    with pytest.raises(NoInputError, match="not known"):
        convert(ConvertSettings(tree.root, tree.root.with_name("o"), "voc", shaping=Shaping(with_photos=True)), Quiet())
