"""Model files and devices that must be refused, in one sentence, before any mask is made."""

import json
import re
import shutil

import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from stego_cli import Model
from stego_cli.errors import ModelError


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


def assert_refused(result, out, before=0):
    """`before`: lines that were written before the refusal."""
    assert result.returncode == 5, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.splitlines()[before:]
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


def at_a_fourteenth(model):
    """One value a patch, as a model without upsampling gives."""
    nodes = model.graph.node
    nodes[-1].input[0] = "small"
    nodes.insert(3, helper.make_node("AveragePool", ["scores"], ["small"], kernel_shape=[14, 14], strides=[14, 14]))


def without_its_batch(model):
    nodes = model.graph.node
    nodes[-1].output[0] = "batch"
    nodes.append(helper.make_node("Slice", ["batch", "from", "to"], ["cluster_log_probs"]))
    for name, value in (("from", 0), ("to", 1)):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [value]))


def with_more_classes(model):
    """Eight classes, which no shape says."""
    nodes = model.graph.node
    nodes[-1].output[0] = "four"
    nodes.append(helper.make_node("Concat", ["four", "four"], ["cluster_log_probs"], axis=1))


def of_doubles(model):
    nodes = model.graph.node
    nodes[-1].output[0] = "single"
    nodes.append(helper.make_node("Cast", ["single"], ["cluster_log_probs"], to=TensorProto.DOUBLE))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def larger_beyond_a_size(model):
    """Right on small pictures; on others the height is that of the input, and one more."""
    nodes = model.graph.node
    nodes[-1].output[0] = "right"
    nodes.extend(
        [
            helper.make_node("Shape", ["right"], ["shape"]),
            helper.make_node("Gather", ["shape", "two"], ["height"], axis=0),
            helper.make_node("Greater", ["height", "limit"], ["large"]),
            helper.make_node("Cast", ["large"], ["more"], to=TensorProto.INT64),
            helper.make_node("Concat", ["zeros6", "more", "zero"], ["pads"], axis=0),
            helper.make_node("Pad", ["right", "pads"], ["cluster_log_probs"]),
        ]
    )
    constants = {"two": [2], "limit": [50], "zeros6": [0] * 6, "zero": [0]}
    for name, values in constants.items():
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))


RUN_TIME = (at_a_fourteenth, without_its_batch, with_more_classes, of_doubles, larger_beyond_a_size)


@pytest.fixture(params=RUN_TIME, ids=lambda harm: harm.__name__)
def unlike_its_shape(request, tiny_model, tmp_path):
    model = onnx.load(tiny_model)
    for index in range(4):  # what the file declares is no help
        model.graph.output[0].type.tensor_type.shape.dim[index].dim_param = f"d{index}"
    request.param(model)
    (tmp_path / "unlike.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "unlike.onnx"


def test_output_of_another_shape_at_run_time_is_refused(request, tmp_path, segment, photos_folder, unlike_its_shape):
    result = segment(photos_folder, "masks", "--model", unlike_its_shape)
    seen_late = request.node.callspec.id == "larger_beyond_a_size"  # with the first photograph
    assert_refused(result, tmp_path / "masks", before=3 * seen_late)
    assert "cluster_log_probs" in result.stderr


def test_the_same_holds_for_evaluate_and_in_python(request, tmp_path, stego, photos_folder, unlike_its_shape):
    for folder in ("imgs", "labels"):
        (tmp_path / "ds" / folder / "val").mkdir(parents=True)
    shutil.copy(photos_folder / "cat.jpg", tmp_path / "ds/imgs/val")
    with Image.open(photos_folder / "cat.jpg") as photo:
        Image.new("L", photo.size, 1).save(tmp_path / "ds/labels/val/cat.png")
    result = stego("evaluate", "ds", "--model", unlike_its_shape, "--protocol", "full", "--no-crf", "--workers", "1")
    seen_late = request.node.callspec.id == "larger_beyond_a_size"
    assert_refused(result, tmp_path / "masks", before=seen_late)
    with pytest.raises(ModelError, match="cluster_log_probs"):
        Model(unlike_its_shape, device="cpu").predict(photos_folder / "cat.jpg", crf=False)


NONSENSE = {
    "classes": [0, 257, -1, 2.5, "4", None, [], 10**30],
    "class_names": ["abcd", [1, 2, 3, 4], {}, None],
    "palette": [[[0, 0, 256]] * 4, [[0, 0, -1]] * 4, [[0, 0]] * 4, [[0.5, 0, 0]] * 4, "abcd", [["1", "2", "3"]] * 4],
    "patch": [0, -14, 10**9, "14", True],
    "res": [0, -1, 10**9, "56", None],
    "backbone": [3, None, []],
    "flip": ["no", 0, None],
    "precision": ["fp64", 32],
    "block": [-3, 10**9, "last"],
    "token": ["../x", 3],
    "shares": [[2.0], ["a"], 3],
    "linear_palette": [[[300, 0, 0]]],
    "format": ["1", 1.5, None, []],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in NONSENSE.items() for value in values])
def test_metadata_of_another_type_or_out_of_range_is_refused(tmp_path, segment, tiny_model, photos_folder, key, value):
    model = onnx.load(tiny_model)
    describe(model, **{key: value})
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    result = segment(photos_folder / "cat.jpg", "masks", "--model", "odd.onnx")
    assert_refused(result, tmp_path / "masks")
    assert key in result.stderr or "contradicts" in result.stderr


@pytest.mark.parametrize("text", ['{"format": 1e999}', '{"format": NaN}', "[" * 100_000, '{"a":' * 100_000, "1" * 5000])
def test_metadata_that_no_reader_should_follow_is_refused(tmp_path, segment, tiny_model, photos_folder, text):
    model = onnx.load(tiny_model)
    helper.set_model_props(model, {"stego": text})
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())
    assert_refused(segment(photos_folder / "cat.jpg", "masks", "--model", "odd.onnx"), tmp_path / "masks")
