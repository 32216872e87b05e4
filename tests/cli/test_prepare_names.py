"""`stego prepare folder`: names and values of labels that are a little out of the usual, each with what is right."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.support import archives

IDS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
PHOTO = {seed: archives.jpeg((24, 16), seed) for seed in range(3)}
PNG = archives.png(IDS)


@pytest.fixture
def prepared(stego, tmp_path):
    """`prepared(files, ...)`: how the command ended, its labels by name, and what is in dataset.json."""

    def run(files, *words):
        source = archives.as_folder(files, tmp_path / "given").name
        ended = stego("prepare", "folder", "--source", source, "--out", "out", "--val", 0, *words)
        labels = {file.name: archives.values(file) for file in sorted((tmp_path / "out/labels").rglob("*.png"))}
        about = tmp_path / "out/dataset.json"
        return ended, labels, json.loads(about.read_text()) if about.exists() else None

    return run


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **more)
    return stream.getvalue()


def test_names_that_differ_by_case_alone_have_labels_of_their_own(prepared) -> None:
    files = {
        "images/d.jpg": PHOTO[0],
        "images/D.jpg": PHOTO[1],
        "masks/d.png": PNG,
        "masks/D.png": archives.png(2 - IDS),
    }
    ended, labels, _ = prepared(files)
    assert ended.returncode == 0, ended.stderr
    of_small = next(name for name in labels if name.startswith("d"))
    of_large = next(name for name in labels if name.startswith("D"))
    assert np.array_equal(labels[of_small], IDS)
    assert np.array_equal(labels[of_large], 2 - IDS)


@pytest.mark.parametrize("label", ["a_mask_0.png", "a_mask0.png", "a-seg-1.png", "masks/a_L.png", "gt/a_label_00.png"])
def test_labels_with_a_number_or_the_letter_of_camvid_are_paired(prepared, label) -> None:
    photo = "images/a.jpg" if "/" in label else "a.jpg"
    ended, labels, about = prepared({photo: PHOTO[0], label: PNG})
    assert ended.returncode == 0, ended.stderr
    assert list(labels) == ["a.png"]
    assert about["splits"]["train"]["labels"] == 1


def test_masks_of_several_objects_are_not_taken_for_the_label(prepared, tmp_path) -> None:
    ended, labels, _ = prepared({"a.jpg": PHOTO[0], "a_mask_0.png": PNG, "a_mask_1.png": PNG, "b.jpg": PHOTO[1]})
    assert (ended.returncode, labels) == (0, {})
    assert len(list((tmp_path / "out/imgs").rglob("*.jpg"))) == 2
    assert "which are passed over (instances, overlays, other folders): 2" in ended.stderr


def test_labels_of_a_format_that_is_not_read_are_said(prepared) -> None:
    ended, _, _ = prepared({"images/a.jpg": PHOTO[0], "masks/a.tga": saved(Image.fromarray(IDS), "TGA")})
    assert "no format that is read as labels: 1, such as masks/a.tga." in ended.stderr
    assert "There are no labels." in ended.stderr


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.jp2", saved(Image.fromarray(IDS), "JPEG2000"), "a JPEG 2000 picture, whose values are not exact"),
        ("a.png", b"no picture at all", "not a picture of a format of labels"),
    ],
)
def test_a_label_that_is_refused_has_a_reason(prepared, name, content, reason) -> None:
    ended, _, _ = prepared({"images/a.jpg": PHOTO[0], f"masks/{name}": content})
    assert ended.returncode == 4
    assert reason in ended.stderr


def test_colours_of_a_palette_count_whatever_its_transparency(prepared) -> None:
    image = Image.fromarray(IDS)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    content = saved(image, "PNG", transparency=bytes([0, 128, 200]))
    ended, labels, about = prepared({"images/a.jpg": PHOTO[0], "masks/a.png": content}, "--palette", "auto")
    assert ended.returncode == 0, ended.stderr
    assert [each["name"] for each in about["classes"]] == ["#000000", "#0000ff", "#ff0000"]
    assert np.array_equal(labels["a.png"], np.array([0, 2, 1])[IDS])


def test_a_layer_that_is_equally_transparent_everywhere_has_its_colours(prepared) -> None:
    colours = np.array([(0, 0, 0, 0), (255, 0, 0, 128), (0, 0, 255, 128)], dtype=np.uint8)[IDS]
    ended, labels, _ = prepared({"images/a.jpg": PHOTO[0], "masks/a.png": archives.png(colours)}, "--palette", "auto")
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(labels["a.png"], np.array([0, 2, 1])[IDS])


def test_a_void_value_that_no_label_has_is_said_and_one_for_colours_is_refused(prepared) -> None:
    files = {"images/a.jpg": PHOTO[0], "masks/a.png": PNG}
    ended, _, about = prepared(files, "--void", 7)
    assert (ended.returncode, len(about["classes"])) == (0, 3)
    assert "Label values without a class: none; the labels have no such value." in ended.stderr
    ended, _, _ = prepared(files, "--void", 0, "--palette", "auto", "--overwrite")
    assert ended.returncode == 2
    assert "--void is for labels that are numbers" in ended.stderr.replace(": is", " is")


def test_a_plain_picture_is_no_chain_of_near_duplicates(prepared) -> None:
    plain = {f"{name}.png": archives.png(np.full((16, 24, 3), 40 * at, np.uint8)) for at, name in enumerate("abc")}
    ended, _, _ = prepared(plain, "--val", 0.2)
    assert ended.returncode == 0, ended.stderr
    assert "follow each other closely" not in ended.stderr
