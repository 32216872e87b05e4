"""Model files and devices that must be refused, in one sentence, before any mask is made."""

import json
import re

import onnx
import pytest
from onnx import TensorProto, helper


def about(model):
    return json.loads(next(prop.value for prop in model.metadata_props if prop.key == "stego"))


def describe(model, **changes):
    helper.set_model_props(model, {"stego": json.dumps({**about(model), **changes})})


def other_input(model):
    model.graph.input[0].name = "pixels"
    model.graph.node[0].input[0] = "pixels"


def float_input(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def second_input(model):
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))


def other_output(model):
    model.graph.output[0].name = model.graph.node[-1].output[0] = "logits"


def no_metadata(model):
    del model.metadata_props[:]


def data_outside(model):
    """Keep the weights in a file above the model's folder."""
    weights = model.graph.initializer[0]
    weights.ClearField("float_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../weights.bin"), ("offset", "0"), ("length", "48")):
        entry = weights.external_data.add()
        entry.key, entry.value = key, value


def data_beside(model):
    data_outside(model)
    model.graph.initializer[0].external_data[0].value = "weights.bin"


HARM = {
    "other input": (other_input, "has inputs"),
    "float input": (float_input, ""),
    "two inputs": (second_input, "has inputs"),
    "other output": (other_output, "outputs ['logits']"),
    "no metadata": (no_metadata, "not one that `stego export-onnx` wrote"),
    "unknown format": (lambda model: describe(model, format=99), "model format 99; this version reads 1"),
    "damaged metadata": (lambda model: helper.set_model_props(model, {"stego": "{"}), "damaged metadata"),
    "metadata of another kind": (lambda model: helper.set_model_props(model, {"stego": "[]"}), "damaged metadata"),
    "names missing": (lambda model: describe(model, class_names=["one"]), "contradicts itself"),
    "no classes": (lambda model: describe(model, classes=0, class_names=[], palette=[]), "contradicts itself"),
    "patch of zero": (lambda model: describe(model, patch=0), "contradicts itself"),
    "other number of classes": (
        lambda model: describe(model, classes=3, class_names=["a", "b", "c"], palette=[[1, 2, 3]] * 3),
        "its metadata says 3 classes",
    ),
    "data outside its folder": (data_outside, ""),
    "data beside it": (data_beside, ""),
}


def assert_refused(result, out):
    assert result.returncode == 5, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()
    assert lines[0].startswith("Error: ")
    assert len(lines) <= 2  # what is wrong, and what to do about it
    assert not list(out.rglob("*.png"))


@pytest.mark.parametrize("harm", HARM)
def test_a_model_that_breaks_the_contract_is_refused_in_one_sentence(
    tmp_path, segment, tiny_model, photos_folder, harm
):
    model = onnx.load(tiny_model)
    alter, sentence = HARM[harm]
    alter(model)
    # The process runs in tmp_path, the model lies below it: both places that data might be read from are filled.
    for place in (tmp_path.parent, tmp_path, tmp_path / "models"):
        place.mkdir(exist_ok=True)
        (place / "weights.bin").write_bytes(bytes(48))
    file = tmp_path / "models/harmed.onnx"
    file.write_bytes(model.SerializeToString())
    result = segment(photos_folder, "masks", "--model", file)
    assert_refused(result, tmp_path / "masks")
    assert sentence in result.stderr
    assert str(file) in result.stderr


@pytest.mark.parametrize("crf", ["--crf", "--no-crf"])
def test_output_that_is_not_finite_never_becomes_a_mask(tmp_path, segment, tiny_model, photos_folder, crf):
    model = onnx.load(tiny_model)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(helper.make_tensor("bias", onnx.TensorProto.FLOAT, [4], [0, 0, float("nan"), 6.0]))
    file = tmp_path / "nan.onnx"
    file.write_bytes(model.SerializeToString())
    result = segment(photos_folder / "cat.jpg", "masks", "--model", file, crf)
    assert result.returncode == 3
    assert "cat.jpg: the model gives values for it that are not finite" in result.stderr
    assert not list((tmp_path / "masks").rglob("*.png"))


@pytest.mark.parametrize("kept", [0, 0.05, 0.5, 0.95, 0.999])
def test_a_truncated_model_is_refused_in_one_sentence(tmp_path, segment, tiny_model, photos_folder, kept):
    content = tiny_model.read_bytes()
    (tmp_path / "short.onnx").write_bytes(content[: int(len(content) * kept)])
    assert_refused(segment(photos_folder, "masks", "--model", "short.onnx"), tmp_path / "masks")


@pytest.mark.parametrize("model", ["missing.onnx", ".", "letter.onnx"])
def test_what_is_no_model_file_is_refused_in_one_sentence(tmp_path, segment, photos_folder, model):
    (tmp_path / "letter.onnx").write_text("Dear reader, I am a letter.")
    assert_refused(segment(photos_folder, "masks", "--model", model), tmp_path / "masks")


def test_a_gpu_that_is_not_there_is_an_error_and_never_a_silent_run_on_the_cpu(tmp_path, segment, photos_folder):
    result = segment(photos_folder, "masks", "--device", "cuda:99")
    assert result.returncode == 2
    assert "--device cuda:99" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "masks").rglob("*.png"))


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda0", "-1", ""])
def test_a_device_that_does_not_exist_is_a_usage_error(segment, photos_folder, device):
    result = segment(photos_folder, "masks", f"--device={device}")
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr


def test_the_device_that_auto_came_to_is_told_once_with_its_reason(segment, photos_folder):
    result = segment(photos_folder, "masks", "--device", "auto")
    assert result.returncode == 0
    assert len(re.findall(r"on (cpu|cuda:\d+) \(.+\)\.", result.stderr)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--res", "0"),
        ("--res", "-5"),
        ("--res", "big"),
        ("--workers", "0"),
        ("--workers", "-1"),
        ("--classes", "5"),
        ("--batch-size", "0"),
        ("--batch-size", "-2"),
        ("--batch-size", "²"),
        ("--batch-size", "many"),
        ("--unknown",),
    ],
)
def test_flags_that_cannot_be_meant_are_refused_and_nothing_is_made(tmp_path, segment, photos_folder, arguments):
    result = segment(photos_folder, "masks", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "Error: " in result.stderr
    assert not list(tmp_path.rglob("*.png"))
