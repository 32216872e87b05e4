"""The metadata of a model file: what is written is read back, and the text is the one that released files have."""

import json
from dataclasses import replace

import pytest

from stego_cli.errors import ModelError
from stego_cli.inference.contract import FORMAT, ExportRecord, ModelInfo, Parity, metadata_text, parse_metadata

INFO = ModelInfo(2, ("sky", "ground"), [(1, 2, 3), (4, 5, 6)], 14, 320, "focus-vits14", False, "fp16")
MADE = ExportRecord("0.1.0", (0.75, 0.25), 9, "feat", "aa", "bb", Parity(1e-5, 0.5))


def test_what_is_written_is_read_back():
    linear = ModelInfo(**{**vars(INFO), "linear_class_names": ("car",), "linear_palette": ((7, 8, 9),)})
    for info in (INFO, linear):
        assert parse_metadata(metadata_text(info), "x.onnx") == info
        assert parse_metadata(metadata_text(info, MADE), "x.onnx") == info


def test_the_text_has_its_keys_in_one_order_and_none_for_what_there_is_not():
    keys = "format stego_version classes class_names palette shares patch res backbone block token flip precision"
    assert list(json.loads(metadata_text(INFO, MADE))) == [
        *keys.split(),
        "weights_sha256",
        "checkpoint_sha256",
        "parity",
    ]
    assert json.loads(metadata_text(INFO))["format"] == FORMAT
    assert not {"parity", "linear_palette", "block"} & set(json.loads(metadata_text(INFO)))


def test_a_hierarchy_is_of_the_clusters_that_were_found():
    hierarchical = replace(INFO, hierarchy=((0, 1),))
    assert parse_metadata(metadata_text(hierarchical), "x.onnx").hierarchy == ((0, 1),)
    about = json.loads(metadata_text(replace(INFO, hierarchy=((0, 2), (0, 1)))))
    assert parse_metadata(json.dumps({**about, "found": {"classes": 3}}), "x.onnx").hierarchy == ((0, 2), (0, 1))
    for wrong in (about, {**about, "found": {"classes": 4}}, {**about, "hierarchy": [[0, 0]]}):
        with pytest.raises(ModelError, match="hierarchy"):
            parse_metadata(json.dumps(wrong), "x.onnx")
