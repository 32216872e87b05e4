"""Pictures of more than 8 bits: one stretch for all that a model sees, from its training to what is measured."""

import json

import numpy as np
import onnx
import pytest
from PIL import Image

import stego_cli
from stego_cli.inference.contract import METADATA_KEY, metadata_text, parse_metadata
from tests.support import pictures
from tests.support.models import tiny_graph

QUARTERS = np.kron([[0, 1], [2, 3]], np.ones((24, 24), int))  # the classes of the tiny model: red, green, blue, dark
COLOURS = np.array([(240, 10, 10), (10, 240, 10), (10, 10, 240), (4, 4, 4)])
RGB8 = COLOURS[QUARTERS].astype(np.uint8)


def labels(file):
    with Image.open(file) as mask:
        return np.asarray(mask).copy()


@pytest.fixture
def deep_model(tmp_path, tiny_model):
    """A model that was trained on pictures of 12 bits, brighter than those of the test."""
    model = onnx.load(tiny_model)
    (entry,) = [each for each in model.metadata_props if each.key == METADATA_KEY]
    entry.value = json.dumps({**json.loads(entry.value), "stretch": [["uint16", 0, 4095]]})
    onnx.save(model, tmp_path / "deep.onnx")
    return tmp_path / "deep.onnx"


def write(folder, values):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.tif").write_bytes(pictures.tiff(values))
    return folder


def read_as(out):
    return json.loads((out / ".stego/run.json").read_text())["identity"].get("reading", {}).get("ranges")


def test_a_model_s_stretch_is_used_and_said_unless_another_is_asked_for(tmp_path, stego, deep_model):
    dark = write(tmp_path / "dark", RGB8.astype(np.uint16))  # of 12 bits, nearly black
    words = ["segment", dark, "--model", deep_model, "--no-crf", "--out"]
    ended = stego(*words, "masks")
    assert ended.returncode == 0, ended.stderr
    assert "0 is shown as black, 4095 as white, as where the model was trained" in ended.stderr
    assert read_as(tmp_path / "masks") == [["uint16", 0.0, 4095.0]]
    assert (labels(tmp_path / "masks/a.png") == 3).all()
    again = stego(*words, "masks")
    assert (again.returncode, "have their masks already" in again.stderr) == (0, True)
    other = stego(*words, "other", "--stretch", "0,255")
    assert other.returncode == 0, other.stderr
    assert read_as(tmp_path / "other") == [["uint16", 0.0, 255.0]]
    assert (labels(tmp_path / "other/a.png") == QUARTERS).all()


def test_python_and_evaluate_read_as_the_run(tmp_path, stego, deep_model):
    photos = write(tmp_path / "data/imgs/val", RGB8.astype(np.uint16))
    (tmp_path / "data/labels/val").mkdir(parents=True)
    Image.fromarray(QUARTERS.astype(np.uint8)).save(tmp_path / "data/labels/val/a.png")
    dark = stego_cli.Model(deep_model).predict(photos / "a.tif", crf=False)
    assert (dark.labels == 3).all()
    bright = stego_cli.Model(deep_model, stretch="0,255").predict(photos / "a.tif", crf=False)
    assert (bright.labels == QUARTERS).all()
    words = ["evaluate", "data", "--model", deep_model, "--protocol", "full", "--no-crf", "--workers", 1]
    for asked, right in (((), 25), (("--stretch", "0,255"), 100)):
        ended = stego(*words, *asked, "--json", "-")
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["cluster"]["accuracy"] == pytest.approx(right)


def test_the_report_of_a_score_shows_them(tmp_path, stego):
    write(tmp_path / "photos", (RGB8.astype(np.uint16)) * 16)
    for name in ("pred", "gt"):
        (tmp_path / name).mkdir()
        Image.fromarray(QUARTERS.astype(np.uint8)).save(tmp_path / name / "a.png")
    words = ["score", "--pred", "pred", "--gt", "gt", "--photos", "photos", "--workers", 1, "--report"]
    assert stego(*words, "a.html").returncode == 0
    assert stego(*words, "b.html", "--stretch", "0,65535").returncode == 0
    pages = [(tmp_path / name).read_text() for name in ("a.html", "b.html")]
    assert all("data:image/jpeg" in page for page in pages)
    assert pages[0] != pages[1]


def test_training_keeps_the_stretch_in_the_run_and_in_the_model(tmp_path, stego, real_weights):
    photos = write(tmp_path / "photos", np.kron(RGB8, np.ones((3, 3, 1))).astype(np.uint16) * 12)
    assert (
        stego("train", photos, "--out", "run", "--steps", 1, "--classes", 2, "--res", 56, "--block", 0).returncode == 0
    )
    config = json.loads((tmp_path / "run/config.json").read_text())
    ((kind, low, high),) = config["stretch"]
    assert (kind, low) == ("uint16", 0)
    assert 2700 < high < 3000
    assert stego("export-onnx", "run").returncode == 0
    ended = stego("segment", photos, "--out", "masks", "--no-crf")
    assert "as where the model was trained" in ended.stderr
    assert read_as(tmp_path / "masks") == [[kind, low, high]]


def test_a_stretch_that_makes_no_sense_is_refused(tiny_model):
    model = tiny_graph()
    (entry,) = [each for each in model.metadata_props if each.key == METADATA_KEY]
    fields = json.loads(entry.value)
    assert parse_metadata(entry.value, "m").stretch == ()
    assert json.loads(metadata_text(parse_metadata(entry.value, "m"))).keys() <= fields.keys()
    for wrong in ([["uint16", 5, 5]], [["uint16", 9, 1]], [["uint16", 0]], [["uint16", "a", 1]], 3):
        with pytest.raises(stego_cli.ModelError):
            parse_metadata(json.dumps({**fields, "stretch": wrong}), "m")
    for wrong in ([0], [1, 2], "x"):
        with pytest.raises(stego_cli.ModelError):
            parse_metadata(json.dumps({**fields, "bands": wrong}), "m")


@pytest.mark.parametrize("nothing", [np.nan, np.inf, 3.4e38, -3.4e38, -9999.0])
def test_pixels_without_a_value_are_void_and_the_rest_is_right(tmp_path, segment, nothing):
    values = RGB8.astype(np.float32) * 7
    values[:5, :7] = nothing
    ended = segment(write(tmp_path / "photos", values), tmp_path / "masks")
    assert ended.returncode == 0, ended.stderr
    assert "RuntimeWarning" not in ended.stderr
    seen = labels(tmp_path / "masks/a.png")
    assert (seen[:5, :7] == 255).all()
    inside = np.ones(seen.shape, bool)
    inside[:8, :10] = False  # next to void, resizing mixes it in
    assert (seen == QUARTERS)[inside].all()
    ((kind, low, high),) = read_as(tmp_path / "masks")
    assert (kind, low) == ("float", 0)
    assert high == pytest.approx(7 * 240, rel=0.01)


def test_a_run_has_one_stretch_and_says_it_once(tmp_path, segment):
    photos = write(tmp_path / "photos", RGB8.astype(np.uint16) * 12)
    (photos / "dark.tif").write_bytes(pictures.tiff(RGB8.astype(np.uint16) // 8))  # read alone, it would not be dark
    ended = segment(photos, tmp_path / "masks")
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("Pictures of 16 bits: ") == 1
    ((kind, low, high),) = read_as(tmp_path / "masks")
    assert (kind, low, high) == ("uint16", 0, 2880)
    assert (labels(tmp_path / "masks/a.png") == QUARTERS).all()
    assert (labels(tmp_path / "masks/dark.png") == 3).all()
