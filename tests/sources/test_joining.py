"""Labels of windows that overlap: how they become one, and that nothing but the windows decides them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import rasterio
from onnx import helper

from stego_cli.images.masks import STEPS, decode_part, encode_part
from stego_cli.sources.joining import joined
from stego_cli.sources.source import PartMask
from stego_cli.sources.windows import Box, windows
from tests.sources.conftest import UPRIGHT, read_mask

WHOLE = Box(0, 0, 10, 16)


def plain(box, label, surety, second=0, second_surety=0):
    shape = box.height, box.width
    return PartMask(*(np.full(shape, value, np.uint8) for value in (label, surety, second, second_surety)))


def test_where_windows_overlap_the_surer_and_the_more_central_one_decides():
    left, right = Box(0, 0, 10, 10), Box(0, 6, 10, 10)
    parts = {left: plain(left, 3, 10), right: plain(right, 7, 10)}
    (strip,) = joined([left, right], parts.get, WHOLE, 4)
    assert strip[5].tolist() == [3] * 8 + [7] * 8
    parts[right] = plain(right, 7, 2)  # less sure: its weight is the larger one only near the other's edge
    (strip,) = joined([left, right], parts.get, WHOLE, 4)
    assert strip[5].tolist() == [3] * 9 + [7] * 7


def test_a_class_that_is_second_in_both_windows_can_be_the_label():
    left, right = Box(0, 0, 10, 10), Box(0, 6, 10, 10)
    parts = {left: plain(left, 0, 7, 200, 6), right: plain(right, 1, 7, 200, 6)}
    (strip,) = joined([left, right], parts.get, WHOLE, 4)
    assert set(strip[5, 7:9]) == {200}
    assert (strip[5, 0], strip[5, 15]) == (0, 1)


def test_there_is_no_label_where_no_window_has_one():
    left, right = Box(0, 0, 10, 10), Box(0, 6, 10, 10)
    (strip,) = joined([left, right], {left: plain(left, 255, 15)}.get, WHOLE, 4)
    assert set(np.unique(strip)) == {255}
    (strip,) = joined([left, right], {left: plain(left, 255, 15, 3, 14), right: plain(right, 1, 1)}.get, WHOLE, 4)
    assert strip[5].tolist() == [255] * 6 + [1] * 10


def test_any_part_of_a_raster_gets_the_labels_that_it_has_in_the_whole():
    boxes = windows(100, 130, 40, 25, Box(0, 0, 100, 130))
    random = np.random.default_rng(0)
    parts = {box: PartMask(*random.integers(0, 9, (4, 40, 40)).astype(np.uint8)) for box in boxes}
    whole = np.concatenate(list(joined(boxes, parts.get, Box(0, 0, 100, 130), 25)))
    assert whole.shape == (100, 130)
    for part in (Box(17, 33, 50, 61), Box(0, 0, 3, 130), Box(99, 100, 1, 30)):
        some = windows(100, 130, 40, 25, part)
        found = np.concatenate(list(joined(some, parts.get, part, 25)))
        assert np.array_equal(found, whole[part.top : part.bottom, part.left : part.right])


def test_every_pixel_gets_the_class_with_the_largest_sum_over_all_windows():
    within = Box(0, 0, 70, 90)
    boxes = windows(70, 90, 40, 12, within)
    random = np.random.default_rng(0)
    numbers = np.array([0, 1, 2, 255], np.uint8)  # few, so that classes are as probable as each other at many pixels
    parts = {
        box: PartMask(
            *(values[random.integers(0, 4, (40, 40))] for values in (numbers, np.arange(4, dtype=np.uint8)) * 2)
        )
        for box in boxes
    }
    sums = np.zeros((256, 70, 90), np.float32)
    rise = np.minimum((np.minimum(np.arange(40), np.arange(40)[::-1]) + 0.5) / 12, 1).astype(np.float32)
    for box, part in parts.items():
        for labels, surety in ((part.labels, part.surety), (part.second, part.second_surety)):
            weight = np.where((part.labels == 255) | (labels == 255), 0, surety) * (rise[:, None] * rise)
            rows, columns = np.indices((40, 40))
            sums[labels, rows + box.top, columns + box.left] += weight
    expected = np.where(sums.any(0), sums.argmax(0), 255)
    assert len({box.top for box in boxes}) > 2
    assert np.array_equal(np.concatenate(list(joined(boxes, parts.get, within, 12))), expected)


def test_a_part_keeps_the_two_most_probable_classes_and_the_label_stays_the_first():
    probabilities = np.array([[[0.6, 0.3]], [[0.3, 0.35]], [[0.1, 0.35]]], np.float32)
    labels = np.array([[4, 5]], np.uint8)
    found = decode_part(encode_part(labels, np.log(probabilities), np.array([4, 5, 6], np.uint8)))
    assert [plane.tolist() for plane in found] == [[[4, 5]], [[9, 5]], [[5, 6]], [[4, 4]]]
    unknown = decode_part(encode_part(labels, None))
    assert [plane.tolist() for plane in unknown] == [[[4, 5]], [[STEPS, STEPS]], [[4, 5]], [[0, 0]]]


@pytest.fixture
def seeing_model(tmp_path, tiny_model):
    """A model whose labels depend on the whole window, as those of a real backbone do: colours less their mean."""
    model = onnx.load(tiny_model)
    model.graph.node[2].input[0] = "centred"
    mean = helper.make_node("ReduceMean", ["planes"], ["mean"], axes=[2, 3])
    model.graph.node.insert(2, mean)
    model.graph.node.insert(3, helper.make_node("Sub", ["planes", "mean"], ["centred"]))
    onnx.save(model, tmp_path / "seeing.onnx")
    return tmp_path / "seeing.onnx"


def test_how_a_raster_is_stored_and_worked_on_changes_no_label(stego, seeing_model, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 50), np.uint8)
    pixels = noise.repeat(28, 1).repeat(30, 2)[:, :700, :1176]
    profile = {"driver": "GTiff", "height": 700, "width": 1176, "count": 3, "dtype": "uint8", "crs": "EPSG:25832"}
    stored = {
        "tiles": {"tiled": True, "blockxsize": 128, "blockysize": 256, "compress": "deflate"},
        "strips": {"blockysize": 7, "interleave": "band"},
    }
    for name, how in stored.items():
        (tmp_path / name).mkdir()
        with rasterio.open(tmp_path / name / "town.tif", "w", **profile, transform=UPRIGHT, **how) as raster:
            raster.write(pixels)
    words = ("--model", seeing_model, "--no-crf", "--device", "cpu")
    for name, workers in (("tiles", 3), ("strips", 1)):
        given = tmp_path / name / "town.tif"
        assert stego("segment", given, "--out", tmp_path / f"out-{name}", *words, "--workers", workers).returncode == 0
    whole = read_mask(tmp_path / "out-tiles/town.tif")
    assert 0.2 < np.bincount(whole.ravel(), minlength=4).max() / whole.size < 0.6
    assert np.array_equal(read_mask(tmp_path / "out-strips/town.tif"), whole)
    left, top = UPRIGHT @ (333, 122)
    right, bottom = UPRIGHT @ (1001, 599)
    box = f"{left},{bottom},{right},{top}"
    assert stego("segment", given, "--out", tmp_path / "part", *words, "--bbox", box).returncode == 0
    assert np.array_equal(read_mask(tmp_path / "part/town.tif"), whole[122:599, 333:1001])
    more = stego("segment", given, "--out", tmp_path / "more", *words, "--overlap", 0.5)
    assert "6 windows of 672 x 672" in more.stderr  # 2 rows of 3
    assert (read_mask(tmp_path / "more/town.tif") != whole).mean() > 0.001  # the windows do decide
