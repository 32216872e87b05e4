"""`stego prepare folder`: what the pixels of labels say, in every format, and how photographs become splits."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.support import archives
from tests.support.labelled import COLOURS, IDS, PHOTO, PNG, labels, photos


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
