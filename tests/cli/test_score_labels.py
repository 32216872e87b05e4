"""Labels as people have them, with the command: read right, or refused with the reason."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IDS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], dtype=np.uint8)


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def put(file: Path, content: "bytes | np.ndarray") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else encoded(Image.fromarray(content), "PNG"))
    return file


def as_npy(ids: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, ids)
    return stream.getvalue()


def as_npz(ids: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, label=ids, scale=np.ones(3))
    return stream.getvalue()


def as_mat(ids: np.ndarray) -> bytes:
    from scipy.io import savemat

    stream = io.BytesIO()
    savemat(stream, {"GTcls": {"Segmentation": ids, "Boundaries": np.zeros(3)}})
    return stream.getvalue()


@pytest.fixture
def scored(stego, tmp_path):
    """`scored("--classes", 3)`: the score of pred and gt as JSON, with all that was printed and the exit code."""

    def run(*words: object):
        ended = stego("score", "--pred", "pred", "--gt", "gt", "--json", tmp_path / "s.json", *words)
        file = tmp_path / "s.json"
        return ended, json.loads(file.read_text()) if file.exists() else None

    return run


GREY = Image.fromarray(IDS)
FORMS = {
    "a.tif": encoded(GREY, "TIFF", compression="tiff_lzw"),
    "a.tiff": encoded(Image.fromarray(IDS.astype(np.int32)), "TIFF"),
    "float.tif": encoded(Image.fromarray(IDS.astype(np.float32)), "TIFF"),
    "a.gif": encoded(GREY, "GIF"),
    "a.bmp": encoded(GREY, "BMP"),
    "a.webp": encoded(GREY.convert("RGB"), "WEBP", lossless=True),
    "a.pgm": encoded(GREY, "PPM"),
    "three.pgm": b"P5\n12 8\n3\n" + IDS.tobytes(),
    "a.npy": as_npy(IDS.astype(np.int64)),
    "a.npz": as_npz(IDS),
    "a.mat": as_mat(IDS),
    "rgb.png": np.dstack([IDS] * 3),
    "rgba.png": np.dstack([IDS] * 3 + [np.full_like(IDS, 255)]),
    "grey_alpha.png": np.dstack([IDS, np.full_like(IDS, 255)]),
    "A.PNG": IDS,
    "sixteen.png": IDS.astype(np.uint16),
}


@pytest.mark.parametrize("name", FORMS)
def test_labels_of_every_lossless_format_are_read(scored, tmp_path, name) -> None:
    put(tmp_path / "gt" / name, FORMS[name])
    put(tmp_path / "pred" / f"{Path(name).stem.lower()}.png", IDS)
    ended, score = scored()
    assert ended.returncode == 0, ended.stderr
    assert (score["accuracy"], score["images"], len(score["per_class"])) == (100, 1, 3)
    assert [each["pixels"] for each in score["per_class"]] == [32, 32, 32]


SUFFIXES = (".mask.png", "_label.tif", "-gt.png", "_labelIds.png", "_seg.npy", "_gtFine_labelIds.png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_label_may_have_a_word_more_in_its_name(scored, tmp_path, suffix) -> None:
    content = as_npy(IDS) if suffix.endswith("npy") else encoded(GREY, "TIFF" if suffix.endswith("tif") else "PNG")
    put(tmp_path / "gt" / f"x/a{suffix}", content)
    put(tmp_path / "pred/x/a.png", IDS)
    ended, score = scored()
    assert ended.returncode == 0, ended.stderr
    assert score["accuracy"] == 100


LOSSY = {
    "a.jpg": (encoded(Image.fromarray(IDS * 9), "JPEG"), "a JPEG picture, whose values are not exact"),
    "named.png": (encoded(GREY, "JPEG"), "a JPEG"),
    "a.webp": (encoded(GREY.convert("RGB"), "WEBP"), "a WebP picture, whose values are not exact"),
    "a.tif": (encoded(GREY, "TIFF", compression="jpeg"), "TIFF with JPEG compression"),
    "pages.tif": (encoded(GREY, "TIFF", save_all=True, append_images=[GREY]), "2 pictures"),
    "half.tif": (encoded(Image.fromarray(IDS.astype(np.float32) / 2), "TIFF"), "not whole numbers"),
    "a.npy": (as_npy(IDS.astype(object)), "Python objects"),
    "three.npy": (as_npy(np.zeros((2, 3, 4))), "shape (2, 3, 4)"),
    "cut.npy": (as_npy(IDS)[:-9], "cut short"),
    "a.mat": (b"MATLAB 7.3 MAT-file" + bytes(200), "version 7.3"),
    "smooth.png": (np.dstack([IDS] * 3 + [IDS * 90]), "partly transparent"),
}


@pytest.mark.parametrize("name", LOSSY)
def test_labels_whose_values_are_not_exact_are_refused_with_the_reason(scored, tmp_path, name) -> None:
    content, reason = LOSSY[name]
    put(tmp_path / "gt" / name, content)
    put(tmp_path / "pred" / f"{Path(name).stem}.png", IDS)
    put(tmp_path / "gt/good.png", IDS)
    put(tmp_path / "pred/good.png", IDS)
    ended, score = scored()
    assert ended.returncode == 3
    assert (score["images"], score["accuracy"]) == (1, 100)
    assert reason in score["failures"][0]["reason"]
    assert reason in ended.stderr


def test_photographs_and_overlays_beside_masks_and_labels_are_no_labels(scored, tmp_path) -> None:
    photo = encoded(Image.new("RGB", (12, 8), (9, 99, 3)), "JPEG")
    for name in ("gt/a.png", "pred/a.png"):
        put(tmp_path / name, IDS)
    for name in ("gt/a.jpg", "gt/other.jpg", "pred/a.overlay.jpg", "pred/a.probs.npz", "pred/a.jpeg"):
        put(tmp_path / name, photo)
    ended, score = scored()
    assert ended.returncode == 0, ended.stderr
    assert (score["images"], score["failed"]) == (1, 0)


def test_colour_labels_are_refused_by_their_colours_and_read_with_a_palette(scored, tmp_path) -> None:
    put(tmp_path / "gt/a.png", COLOURS[IDS])
    put(tmp_path / "pred/a.png", IDS)
    ended, score = scored()
    assert ended.returncode == 3
    assert "#000000, #0000ff, #ff0000" in score["failures"][0]["reason"]
    assert "--palette FILE" in ended.stderr
    (tmp_path / "palette.txt").write_text("0 0 0 ground\n255 0 0 house\n")
    ended, score = scored("--palette", "palette.txt", "--match", "identity")
    assert ended.returncode == 0, ended.stderr
    assert [each["name"] for each in score["per_class"]] == ["ground", "house"]
    assert [each["pixels"] for each in score["per_class"]] == [32, 32]
    assert score["accuracy"] == 100
    assert "32 pixels of labels have colours that are not in palette.txt" in ended.stderr


@pytest.mark.parametrize("other", [0, 1, 7])
def test_255_beside_one_other_value_is_not_void_unless_that_is_said(scored, tmp_path, other) -> None:
    put(tmp_path / "gt/a.png", np.where(IDS == 0, other, 255).astype(np.uint8))
    put(tmp_path / "gt/b.png", np.full((4, 4), other, dtype=np.uint8))
    for name, size in (("a", (8, 12)), ("b", (4, 4))):
        put(tmp_path / f"pred/{name}.png", np.zeros(size, dtype=np.uint8))
    ended, score = scored()
    assert ended.returncode == 2
    assert score is None
    for word in (f"{other} and 255", "--remap", "--ignore 255"):
        assert word in ended.stderr
    (tmp_path / "remap.txt").write_text(f"{other} 0\n255 1\n")
    ended, score = scored("--remap", "remap.txt")
    assert ended.returncode == 0, ended.stderr
    assert score["accuracy"] == pytest.approx(100 * 64 / 112)
    ended, score = scored("--ignore", "255")
    assert (ended.returncode, score["accuracy"], score["ignored_pixels"]) == (0, 100, 64)


def test_a_mask_of_another_shape_fails_and_one_of_another_size_is_resized(scored, tmp_path) -> None:
    label = np.zeros((40, 60), dtype=np.uint8)
    label[:20] = 1
    shapes = {"turned": (60, 40), "square": (40, 40), "half": (20, 30), "patches": (322, 476), "same": (40, 60)}
    for name, shape in shapes.items():
        put(tmp_path / f"gt/{name}.png", label)
        mask = np.asarray(Image.fromarray(label).resize(shape[::-1], Image.Resampling.NEAREST))
        put(tmp_path / f"pred/{name}.png", mask)
    ended, score = scored()
    assert ended.returncode == 3
    assert sorted(each["path"] for each in score["failures"]) == ["square.png", "turned.png"]
    assert "turned.png: the mask is 40 x 60 pixels, the label 60 x 40, another shape" in ended.stderr
    assert (score["images"], score["resized"]) == (3, 2)
    assert score["accuracy"] > 98


def test_a_nearly_square_label_that_is_turned_fails(scored, tmp_path) -> None:
    put(tmp_path / "gt/a.png", np.zeros((100, 101), dtype=np.uint8))
    put(tmp_path / "pred/a.png", np.zeros((101, 100), dtype=np.uint8))
    assert scored("--classes", 2)[0].returncode == 3


def test_label_values_beyond_the_classes_are_said_with_their_numbers(scored, tmp_path) -> None:
    ids = IDS.astype(np.uint16)
    ids[0, :2], ids[0, 2] = 40_000, 65_535
    put(tmp_path / "gt/a.png", ids)
    put(tmp_path / "pred/a.png", IDS)
    ended, score = scored()
    assert ended.returncode == 0, ended.stderr
    assert "40000 (2 pixels), 65535 (1 pixels)" in ended.stderr
    assert score["ignored_values"] == {"40000": 2, "65535": 1}
    ended, score = scored("--classes", 2)
    assert "2 (32 pixels), 40000 (2 pixels)" in ended.stderr
    (tmp_path / "remap.txt").write_text("0 0\n1 1\n")
    assert "2 (32 pixels), 40000 (2 pixels)" in scored("--remap", "remap.txt")[0].stderr


def test_negative_values_are_of_no_class(scored, tmp_path) -> None:
    put(tmp_path / "gt/a.npy", as_npy(np.where(IDS == 2, -1, IDS).astype(np.int16)))
    put(tmp_path / "pred/a.png", IDS)
    ended, score = scored()
    assert ended.returncode == 0, ended.stderr
    assert (len(score["per_class"]), score["ignored_pixels"], score["accuracy"]) == (2, 32, 100)


def test_a_zip_bomb_of_an_array_is_not_unpacked(scored, tmp_path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("label.npy", "w") as member:
        about = {"descr": "|u1", "fortran_order": False, "shape": (30_000, 10_000)}
        np.lib.format.write_array_header_1_0(member, about)
        for _ in range(3):
            member.write(bytes(100_000_000))
    put(tmp_path / "gt/a.npz", stream.getvalue())
    put(tmp_path / "pred/a.png", IDS)
    ended, score = scored()
    assert ended.returncode == 3
    assert (score["images"], score["failures"][0]["reason"]) == (0, "label: its array label has 0.3 GB")
