"""Edits of a model file: joined classes are sums inside the graph, and each edit replaces the one before."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import dropped, joined, recoloured, renamed, renumbered
from stego_cli.errors import ModelError
from stego_cli.gallery.model_edit import classes_of_model, edit_model, shares_of_model
from stego_cli.inference.session import Session

FOUR = ClassEdits(4)
TINY_CLASSES = ("red", "green", "blue", "dark")


@pytest.fixture(params=[17, 20], ids=["axes as an attribute", "axes as an input"])
def model(request: pytest.FixtureRequest, tiny_model: Path) -> bytes:
    graph = onnx.load(tiny_model)
    graph.opset_import[0].version = request.param
    about = json.loads(graph.metadata_props[0].value)
    graph.metadata_props[0].value = json.dumps({**about, "shares": [0.4, 0.3, 0.2, 0.1]})
    return graph.SerializeToString()


def log_probs(content: bytes) -> np.ndarray:
    image = np.random.default_rng(1).integers(0, 256, (2, 28, 42, 3), np.uint8)
    return Session.from_bytes(content, "cpu").log_probs(image)


def test_the_names_and_colours_that_the_model_has_are_where_edits_begin(model):
    assert tuple(entry.name for entry in classes_of_model(model, "m").legend) == TINY_CLASSES
    assert shares_of_model(model, "m") == (0.4, 0.3, 0.2, 0.1)


def test_joined_classes_are_the_sum_of_their_probabilities_and_others_are_bit_equal(model):
    edits = renamed(joined(FOUR, [0, 2], "warm"), {3: "night"})
    edited = edit_model(model, edits, "m")
    before, after = log_probs(model), log_probs(edited)
    assert after.shape == (2, 3, 28, 42)
    assert np.allclose(np.exp(after[:, 0]), np.exp(before[:, 0]) + np.exp(before[:, 2]), atol=1e-6)
    assert np.array_equal(after[:, 1:], before[:, [1, 3]])
    info = Session.from_bytes(edited, "cpu").info
    assert info.class_names == ("warm", "class 1", "night")
    assert info.mask_values == (0, 1, 3)
    assert classes_of_model(edited, "m") == edits
    assert shares_of_model(edited, "m") == (0.4, 0.3, 0.2, 0.1)


def test_dropped_classes_share_one_last_channel_that_masks_hold_as_void(model):
    edits = dropped(FOUR, [0, 1])
    edited = edit_model(model, edits, "m")
    before, after = log_probs(model), log_probs(edited)
    assert np.array_equal(after[:, :2], before[:, 2:])
    assert np.allclose(np.exp(after[:, 2]), np.exp(before[:, :2]).sum(1), atol=1e-6)
    info = Session.from_bytes(edited, "cpu").info
    assert (info.class_names[-1], info.mask_values) == ("void", (2, 3, 255))


def test_names_alone_leave_the_graph_as_it_is(model):
    edited = edit_model(model, recoloured(renamed(FOUR, {0: "sky"}), {0: (1, 2, 3)}), "m")
    assert onnx.load_from_string(edited).graph == onnx.load_from_string(model).graph
    info = Session.from_bytes(edited, "cpu").info
    assert (info.class_names[0], info.palette[0]) == ("sky", (1, 2, 3))
    assert json.loads(onnx.load_from_string(edited).metadata_props[0].value)["format"] == 1


def test_an_edit_replaces_the_one_before_and_nothing_is_lost(model):
    once = edit_model(model, joined(FOUR, [0, 1]), "m")
    twice = edit_model(edit_model(once, dropped(FOUR, [3]), "m"), joined(FOUR, [0, 1]), "m")
    assert once == twice
    back = edit_model(twice, FOUR, "m")
    assert np.array_equal(log_probs(back), log_probs(model))
    assert onnx.load_from_string(back).graph == onnx.load_from_string(model).graph


def test_values_other_than_the_channels_make_a_format_that_older_versions_refuse(model):
    formats = {
        name: json.loads(onnx.load_from_string(edit_model(model, edits, "m")).metadata_props[0].value)["format"]
        for name, edits in {
            "a gap": joined(FOUR, [0, 1]),
            "no gap": renumbered(joined(FOUR, [0, 1])),
            "void": dropped(FOUR, [3]),
        }.items()
    }
    assert formats == {"a gap": 2, "no gap": 1, "void": 2}


def test_a_stage_that_does_not_compute_the_sums_is_never_written(model, monkeypatch):
    make = onnx.helper.make_node

    def wrong(kind, *arguments, **more):
        return make("ReduceMax" if kind == "ReduceLogSumExp" else kind, *arguments, **more)

    monkeypatch.setattr(onnx.helper, "make_node", wrong)
    with pytest.raises(ModelError, match="nothing was written"):
        edit_model(model, joined(FOUR, [0, 2]), "m")


def test_other_files_and_other_numbers_of_classes_are_refused(model):
    with pytest.raises(ModelError, match="readable ONNX"):
        classes_of_model(b"nonsense", "m")
    plain = onnx.load_from_string(model)
    del plain.metadata_props[:]
    with pytest.raises(ModelError, match="not one that"):
        classes_of_model(plain.SerializeToString(), "m")
    with pytest.raises(ModelError, match="about 5 classes; m has 4"):
        edit_model(model, ClassEdits(5), "m")
