"""What becomes of a model's attention on the CPU, held against the model as it is written."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export.graph import graph_of, halved
from stego_cli.inference.attention import with_fused_attention
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT
from stego_cli.model.backbones import backbone
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.segmenter import Segmenter
from stego_cli.model.vit import build

FUSED = "MultiHeadAttention"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    """Random weights, three blocks, and each photograph seen twice."""
    torch.manual_seed(0)
    vit = build(backbone("timm:vit_tiny_patch16_224"), None, block=2)
    return Segmenter(vit, Head(vit.row.width, 8), ClusterProbe(torch.randn(3, 8)), flip=True)


@pytest.fixture(scope="module")
def written(segmenter) -> bytes:
    return graph_of(segmenter).SerializeToString()


def operators(content: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_model_from_string(content).graph.node)


def computed(content: bytes, images: np.ndarray, threads: int = 1) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run([CLUSTER_OUTPUT], {INPUT: images})[0]


def pictures(batch: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, 480, 640, 3), np.uint8)


def test_each_attention_is_one_node_that_computes_the_same(written):
    fused = with_fused_attention(written)
    before, after = operators(written), operators(fused)
    assert after[FUSED] == before["Softmax"] == 6
    assert not after["Softmax"]  # none of it is computed beside
    assert after["MatMul"] == before["MatMul"] - 2 * 6
    images = pictures(1)
    assert np.abs(computed(fused, images) - computed(written, images)).max() < 1e-5


def test_neither_threads_nor_neighbours_in_the_batch_change_a_bit(written):
    fused, images = with_fused_attention(written), pictures(3)
    alone = computed(fused, images[1:2])
    assert np.array_equal(computed(fused, images)[1:2], alone)
    assert np.array_equal(computed(fused, images, threads=2)[1:2], alone)


def test_half_precision_is_left_as_it_is(segmenter):
    half = graph_of(halved(segmenter)).SerializeToString()
    assert with_fused_attention(half) == half


@pytest.mark.parametrize(
    ("operator", "attribute", "value"),
    [("Softmax", "axis", 2), ("Transpose", "perm", [2, 1, 3, 0, 4]), ("Gather", "axis", 1)],
)
def test_what_is_no_attention_is_left_as_it_is(written, operator, attribute, value):
    model = onnx.load_model_from_string(written)
    for node in model.graph.node:
        if node.op_type == operator and len(node.attribute) == 1:
            if operator == "Transpose" and len(node.attribute[0].ints) != 5:
                continue
            node.attribute[0].CopyFrom(onnx.helper.make_attribute(attribute, value))
    other = model.SerializeToString()
    assert with_fused_attention(other) == other


@pytest.mark.parametrize("what", ["scale", "tokens", "keys"])
def test_constants_of_another_kind_are_no_attention(written, what):
    """A scale for each head, a fixed number of tokens, and queries that are their own keys."""
    model = onnx.load_model_from_string(written)
    makers = {output: node for node in model.graph.node for output in node.output}
    tensors = {each.name: each for each in model.graph.initializer}
    for softmax in [node for node in model.graph.node if node.op_type == "Softmax"]:
        scores = makers[softmax.input[0]]
        queries, keys = makers[scores.input[0]], makers[makers[scores.input[1]].input[0]]
        if what == "scale":
            scale = onnx.numpy_helper.from_array(np.full((3, 1, 1), 0.1, np.float32), queries.input[1])
            tensors[queries.input[1]].CopyFrom(scale)
        elif what == "tokens":
            shape = makers[makers[makers[queries.input[0]].input[0]].input[0]].input[1]
            tensors[shape].CopyFrom(onnx.numpy_helper.from_array(np.array([0, 1, 3, 3, 64]), shape))
        else:
            keys.input[1] = makers[queries.input[0]].input[1]
    other = model.SerializeToString()
    assert with_fused_attention(other) == other


@pytest.mark.parametrize("content", [b"", b"no model", b"Softmax of no model", b"\x08\x07" * 40])
def test_what_is_no_model_is_left_to_onnx_runtime(content):
    assert with_fused_attention(content) == content
