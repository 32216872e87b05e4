"""segment, its forecast, evaluate and Model make the same labels of a photograph, and refuse the same."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import stego_cli
from stego_cli.progress import Quiet
from stego_cli.settings import EvaluateSettings, SegmentSettings
from stego_cli.tasks.evaluate import evaluate
from stego_cli.tasks.forecast import forecast
from stego_cli.tasks.segment import segment

NOT_FINITE = "the model gives values for it that are not finite"


def changed(tiny_model: Path, target: Path, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> Path:
    """The tiny model with nodes between its `scores` and its softmax, which then reads `changed`."""
    model = onnx.load(tiny_model)
    model.graph.node[-1].input[0] = "changed"
    for place, node in enumerate(nodes, len(model.graph.node) - 1):
        model.graph.node.insert(place, node)
    model.graph.initializer.extend(constants)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    return target


@pytest.fixture(scope="module")
def wide_model(tiny_model, tmp_path_factory):
    """A model whose classes depend on the mean of all that it is given, so that tiles show in what it computes."""
    nodes = [
        helper.make_node("ReduceMean", ["scores"], ["mean"], axes=[2, 3], keepdims=1),
        helper.make_node("Sub", ["scores", "mean"], ["changed"]),
    ]
    return changed(tiny_model, tmp_path_factory.mktemp("wide") / "wide.onnx", nodes, [])


@pytest.fixture(scope="module")
def undefined_model(tiny_model, tmp_path_factory):
    """A model that takes the logarithm of brightness below a limit, which dark pixels make NaN."""
    limit = helper.make_tensor("limit", TensorProto.FLOAT, [], [8.0])
    nodes = [helper.make_node("Sub", ["scores", "limit"], ["above"]), helper.make_node("Log", ["above"], ["changed"])]
    return changed(tiny_model, tmp_path_factory.mktemp("undefined") / "undefined.onnx", nodes, [limit])


@pytest.fixture(scope="module")
def data(tmp_path_factory, photos_folder):
    """Two photographs, one of them turned by its EXIF orientation, with labels that no model predicts."""
    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    for kind in ("imgs", "labels"):
        (folder / kind / "val").mkdir(parents=True)
    for name, orientation in (("lake", 1), ("cat", 6)):
        with Image.open(photos_folder / f"{name}.jpg") as photo:
            exif = Image.Exif()
            exif[0x0112] = orientation
            photo.save(folder / f"imgs/val/{name}.jpg", exif=exif)
            width, height = photo.size if orientation == 1 else photo.size[::-1]
        labels = generator.integers(0, 4, (height // 30 + 1, width // 30 + 1)).repeat(30, 0).repeat(30, 1)
        labels[:20] = 4  # becomes 255, no class
        labels = np.where(labels == 4, 255, labels)[:height, :width]
        Image.fromarray(labels.astype(np.uint8)).save(folder / f"labels/val/{name}.png")
    return folder


@pytest.mark.parametrize("settings", [{"res": 952, "crf": False}, {"res": 112, "crf": True}])
@pytest.mark.slow
def test_evaluate_counts_the_pixels_of_the_masks_that_segment_writes(settings, wide_model, data, tmp_path):
    photos = data / "imgs/val"
    result = segment(SegmentSettings(photos, tmp_path, wide_model, device="cpu", **settings), Quiet())
    assert result.summary.done == 2
    asked = EvaluateSettings(data, wide_model, protocol="full", device="cpu", workers=1, **settings)
    evaluation = evaluate(asked, Quiet())
    ours = evaluation.scores["cluster", settings["crf"]]
    theirs = stego_cli.score(tmp_path, data / "labels/val", boundary=False, workers=1, progress=False)
    assert np.array_equal(ours.confusion, theirs.confusion)
    assert ours.confusion.sum() > 0
    model = stego_cli.Model(wide_model, device="cpu")
    for photo in photos.iterdir():
        with Image.open(tmp_path / f"{photo.stem}.png") as mask:
            assert np.array_equal(np.asarray(mask), model.predict(photo, **settings).labels)


def test_values_that_are_not_finite_are_refused_everywhere_in_the_same_words(undefined_model, data, tmp_path):
    photos = data / "imgs/val"
    for crf in (True, False):
        asked = SegmentSettings(photos, tmp_path, undefined_model, crf=crf, device="cpu", overwrite=True)
        assert [reason for _, reason in segment(asked, Quiet()).summary.failed] == [NOT_FINITE] * 2
        assert [reason for _, reason in forecast(asked, Quiet()).failed] == [NOT_FINITE] * 2
        assert not list(tmp_path.glob("*.png"))
        full = EvaluateSettings(data, undefined_model, protocol="full", crf=crf, device="cpu", workers=1)
        with pytest.raises(stego_cli.NoInputError, match=NOT_FINITE):
            evaluate(full, Quiet())
        with pytest.raises(stego_cli.PhotoError, match=NOT_FINITE):
            stego_cli.Model(undefined_model, device="cpu").predict(photos / "cat.jpg", crf=crf)
