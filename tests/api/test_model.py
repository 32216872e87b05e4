"""`stego_cli.Model`: one picture in memory, labelled as `segment` labels it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import stego_cli
from stego_cli.inference.outputs import STEPS_A_NAT
from tests.support.recorder import Recorder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, photos_folder: Path) -> Path:
    """A large JPEG of odd size that a viewer turns, a small one, and a PNG with transparency."""
    folder = tmp_path_factory.mktemp("pictures")
    with Image.open(photos_folder / "heron.jpg") as photo:
        turned = Image.Exif()
        turned[0x0112] = 6
        photo.resize((1337, 1003)).save(folder / "turned.jpg", exif=turned)
    with Image.open(photos_folder / "cat.jpg") as photo:
        photo.resize((203, 151)).save(folder / "odd.jpg")
        veiled = photo.convert("RGBA").resize((90, 70))
    veiled.putalpha(120)
    veiled.save(folder / "veiled.png")
    return folder


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> stego_cli.Model:
    return stego_cli.Model(tiny_model, device="cpu")


def labels_of(mask: Path) -> np.ndarray:
    with Image.open(mask) as image:
        return np.asarray(image)


@pytest.mark.parametrize("settings", [{}, {"crf": False}, {"res": 70}])
def test_a_path_gets_the_pixels_that_segment_writes(settings, model, pictures, tiny_model, tmp_path):
    result = stego_cli.segment(pictures, out=tmp_path, model=tiny_model, device="cpu", progress=False, **settings)
    assert result.summary.done == 3
    for photo in pictures.iterdir():
        prediction = model.predict(photo, **settings)
        assert prediction.labels.dtype == np.uint8
        assert np.array_equal(prediction.labels, labels_of(tmp_path / f"{photo.stem}.png"))
        assert np.array_equal(np.asarray(prediction.mask()), prediction.labels)
        assert prediction.mask().getpalette() == Image.open(tmp_path / f"{photo.stem}.png").getpalette()


def test_the_log_probabilities_are_those_that_segment_keeps(model, pictures, tiny_model, tmp_path):
    kept = {"keep_probabilities": True, "progress": False, "device": "cpu"}
    stego_cli.segment(pictures / "odd.jpg", out=tmp_path, model=tiny_model, **kept)
    prediction = model.predict(str(pictures / "odd.jpg"))
    with np.load(tmp_path / "odd.probs.npz") as probabilities:
        steps = np.minimum(np.rint(prediction.log_probs * -STEPS_A_NAT), 255).astype(np.uint8)
        assert np.array_equal(steps, probabilities["log_probs"])
    assert prediction.log_probs.shape == (4, 56, 70)


def test_pictures_in_memory_are_labelled_as_their_files_are_where_no_decoder_shrinks_them(model, pictures):
    from_path = model.predict(pictures / "veiled.png").labels
    with Image.open(pictures / "veiled.png") as veiled:
        assert np.array_equal(model.predict(veiled).labels, from_path)
        white = Image.new("RGBA", veiled.size, "white")
        array = np.asarray(Image.alpha_composite(white, veiled).convert("RGB"))
    assert np.array_equal(model.predict(array).labels, from_path)
    with Image.open(pictures / "turned.jpg") as turned:
        labels = model.predict(turned).labels
    assert labels.shape == (1337, 1003)
    assert (labels == model.predict(pictures / "turned.jpg").labels).mean() > 0.95


def test_a_notebook_is_shown_the_overlay_and_a_legend(model, pictures):
    prediction = model.predict(pictures / "turned.jpg")
    assert prediction.overlay().size == (1003, 1337)
    assert prediction._repr_png_().startswith(b"\x89PNG")
    shares = prediction.shares()
    assert abs(sum(shares.values()) - 1) < 1e-9
    page = prediction._repr_html_()
    assert "data:image/png;base64," in page
    assert all(name in page and name in repr(prediction) for name in shares)
    assert model.names() == ("red", "green", "blue", "dark")
    assert len(model.colours()) == 4


def test_what_is_no_picture_is_refused_with_its_name(model, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 nothing more")
    with pytest.raises(stego_cli.PhotoError, match=r"broken\.jpg: "):
        model.predict(tmp_path / "broken.jpg")
    with pytest.raises(stego_cli.PhotoError, match="missing"):
        model.predict(tmp_path / "missing.jpg")
    with pytest.raises(stego_cli.PhotoError, match="without pixels"):
        model.predict(np.zeros((0, 5, 3), np.uint8))
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), 7):
        with pytest.raises(stego_cli.UsageError, match="image: must be a path"):
            model.predict(wrong)


def test_settings_that_make_no_sense_are_refused_by_name(model, pictures):
    with pytest.raises(stego_cli.UsageError, match="res: must be 16 or more"):
        model.predict(pictures / "odd.jpg", res=3)
    with pytest.raises(stego_cli.UsageError, match="probe: must be cluster or linear"):
        model.predict(pictures / "odd.jpg", probe="other")
    with pytest.raises(stego_cli.UsageError, match="no linear probe"):
        model.predict(pictures / "odd.jpg", probe="linear")


def test_a_folder_is_no_model_and_the_remedy_names_the_file_in_it(tiny_model, pictures, tmp_path):
    with pytest.raises(stego_cli.ModelError, match=r"is a folder, not a model file\. Export a run with export_onnx"):
        stego_cli.Model(tmp_path)
    (tmp_path / ".stego").mkdir()
    os.link(tiny_model, tmp_path / ".stego/model.onnx")
    with pytest.raises(stego_cli.ModelError, match=r"Give the file .*\.stego/model\.onnx"):
        stego_cli.Model(tmp_path)


def test_calls_report_where_they_are_told_and_touch_neither_signals_nor_standard_output(
    pictures, tiny_model, tmp_path, capsys
):
    import signal

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    recorder, settings = Recorder(), {"model": tiny_model, "device": "cpu"}
    stego_cli.segment(pictures, out=tmp_path / "a", progress=recorder, **settings)
    assert [event.get("status") for event in recorder.events].count("done") == 3
    stego_cli.segment(pictures, out=tmp_path / "b", progress=False, **settings)
    assert capsys.readouterr() == ("", "")
    stego_cli.segment(pictures, out=tmp_path / "c", **settings)
    said = capsys.readouterr()
    assert said.out == ""
    assert "Segmenting (3 photographs)" in said.err
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_an_error_says_what_to_do_in_the_words_of_python(pictures, tiny_model, tmp_path):
    stego_cli.segment(pictures, out=tmp_path, model=tiny_model, crf=False, progress=False, device="cpu")
    with pytest.raises(stego_cli.UsageError) as caught:
        stego_cli.segment(pictures, out=tmp_path, model=tiny_model, progress=False, device="cpu")
    assert "overwrite=True to make all masks again" in str(caught.value)
    with pytest.raises(stego_cli.StegoError, match="classes: must be 2 to 256"):
        stego_cli.segment(pictures, out=tmp_path, classes=1)
