"""Two small models of the contract, made on the spot: what a self-test runs where there is no model yet.

One tells colours apart, so that its answer is known. The other has the default backbone's shape, its weights being
small random numbers: a network's speed does not depend on their values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from stego_cli.classes import numbered
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT, METADATA_KEY, ModelInfo, metadata_text
from stego_cli.palette import palette

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

COLOURS = {"red": (250, 10, 10), "green": (10, 250, 10), "blue": (10, 10, 250), "dark": (5, 5, 5)}
PATCH = 14
_OPSET, _IR = 20, 10  # as exported models have them
_WIDTH, _HEADS, _BLOCKS = 384, 6, 10  # the default backbone up to the block whose features are used


def colour_model() -> bytes:
    """Return a model that gives each pixel the class of its colour: red, green, blue, or dark (COLOURS in order)."""
    weights = 0.1 * np.eye(4, 3, dtype=np.float32)  # a class a channel; dark is the bias alone
    graph = _Graph()
    scores = graph.add("Conv", graph.planes(), graph.constant(weights[:, :, None, None]), graph.constant([0, 0, 0, 6]))
    graph.add("LogSoftmax", scores, axis=1, name=CLUSTER_OUTPUT)
    return graph.serialized(len(COLOURS))


def transformer_model(height: int, width: int, classes: int) -> bytes:
    """Return a model that does the default backbone's work on photographs of one size, whole patches.

    Every block has the same weights: the file stays at 7 MB, the work is that of ten blocks.
    """
    graph, random = _Graph(), np.random.default_rng(0)

    def weights(*shape: int) -> str:
        return graph.constant(random.normal(0, 0.02, shape))

    patches = graph.add("Conv", graph.planes(), weights(_WIDTH, 3, PATCH, PATCH), strides=[PATCH, PATCH])
    rows = graph.add("Reshape", patches, graph.constant([0, _WIDTH, -1], np.int64))
    tokens = graph.add("Transpose", rows, perm=[0, 2, 1])  # (B, N, C)
    block = [weights(_WIDTH, 3 * _WIDTH), weights(_WIDTH, _WIDTH), weights(_WIDTH, 4 * _WIDTH)]
    block += [weights(4 * _WIDTH, _WIDTH), graph.constant(np.ones(_WIDTH))]
    for _ in range(_BLOCKS):
        tokens = _block(graph, tokens, block)
    normed = graph.add("LayerNormalization", tokens, block[-1])
    scores = graph.add("Transpose", graph.add("MatMul", normed, weights(_WIDTH, classes)), perm=[0, 2, 1])
    grid = graph.constant([0, classes, height // PATCH, width // PATCH], np.int64)
    scales = graph.constant([1, 1, PATCH, PATCH])
    enlarged = graph.add("Resize", graph.add("Reshape", scores, grid), "", scales, mode="linear")
    # Spelled out, as in exported models: LogSoftmax along the strided axis of classes would take a quarter of the time.
    total = graph.add("ReduceSum", graph.add("Exp", enlarged), graph.constant([1], np.int64))
    graph.add("Sub", enlarged, graph.add("Log", total), name=CLUSTER_OUTPUT)
    return graph.serialized(classes)


def _block(graph: _Graph, tokens: str, weights: list[str]) -> str:
    """Add one block of a vision transformer: attention, then the perceptron, each beside a shortcut."""
    joint, out, widen, narrow, scale = weights
    normed = graph.add("LayerNormalization", tokens, scale)
    split = graph.constant([0, 0, 3, _HEADS, _WIDTH // _HEADS], np.int64)
    parts = graph.add(
        "Transpose", graph.add("Reshape", graph.add("MatMul", normed, joint), split), perm=[2, 0, 3, 1, 4]
    )
    query, key, value = (graph.add("Gather", parts, graph.constant(part, np.int64), axis=0) for part in range(3))
    scores = graph.add("MatMul", query, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    scaled = graph.add("Mul", scores, graph.constant((_WIDTH / _HEADS) ** -0.5))
    mixed = graph.add("MatMul", graph.add("Softmax", scaled, axis=-1), value)
    joined = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    heads = graph.add("Reshape", joined, graph.constant([0, 0, _WIDTH], np.int64))
    tokens = graph.add("Add", tokens, graph.add("MatMul", heads, out))
    wide = graph.add("Gelu", graph.add("MatMul", graph.add("LayerNormalization", tokens, scale), widen))
    return graph.add("Add", tokens, graph.add("MatMul", wide, narrow))


class _Graph:
    """Nodes and constants in the order of their making, named by numbers."""

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, NDArray[np.generic]] = {}

    def planes(self) -> str:
        """Return the input as (B, 3, H, W) floats of 0 to 255."""
        from onnx import TensorProto

        return self.add("Transpose", self.add("Cast", INPUT, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])

    def constant(self, values: object, kind: type[np.generic] = np.float32) -> str:
        name = f"constant{len(self._constants)}"
        self._constants[name] = np.asarray(values, kind)
        return name

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:  # noqa: ANN401  (as ONNX has them)
        """Add a node; return the name of its output."""
        from onnx import helper

        output = name or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def serialized(self, classes: int) -> bytes:
        """Return the model file's bytes, metadata included."""
        from onnx import TensorProto, helper, numpy_helper

        constants = [numpy_helper.from_array(values, name) for name, values in self._constants.items()]
        image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["B", "H", "W", 3])
        result = helper.make_tensor_value_info(CLUSTER_OUTPUT, TensorProto.FLOAT, ["B", classes, "H", "W"])
        graph = helper.make_graph(self._nodes, "sample", [image], [result], constants)
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR)
        helper.set_model_props(model, {METADATA_KEY: metadata_text(_info(classes))})
        content: bytes = model.SerializeToString()
        return content


def _info(classes: int) -> ModelInfo:
    names = tuple(COLOURS) if classes == len(COLOURS) else numbered(classes).names
    return ModelInfo(
        classes=classes,
        class_names=names,
        palette=palette(classes),
        patch=PATCH,
        res=4 * PATCH,
        backbone="none",
        flip=False,
        precision="fp32",
    )
