"""Attention as one operator of ONNX Runtime's own, for the CPU.

The model file keeps to the operators of ONNX, so that any runtime reads it. They need the weights of all pairs of
tokens at once. ONNX Runtime's operator makes them block by block, in the way of FlashAttention (Dao et al. 2022,
algorithm 1): the same results but for rounding, sooner and with less memory. Its own fusions do not find what
`export.transformer` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_DOMAIN = "com.microsoft"


def with_fused_attention(content: bytes) -> bytes:
    """Return a serialised model with each attention in float32 as one node; what has none, or is broken, as it is."""
    if b"Softmax" not in content:
        return content  # before the import of onnx, which takes longer than the start of a small model
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception:  # whatever is wrong with it, ONNX Runtime says so in words of its own
        return content
    graph, nodes = _Graph(model.graph), list["NodeProto"]()
    for node in model.graph.node:
        found = graph.attention(node) if node.op_type == "Reshape" else None
        nodes += found.nodes() if found else [node]
    if len(nodes) == len(model.graph.node):
        return content
    nodes = _needed(nodes, {each.name for each in model.graph.output})
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    serialised: bytes = model.SerializeToString()
    return serialised


def _needed(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Return the nodes, in order, without those that nothing reads: ONNX Runtime would run them."""
    kept, read = list["NodeProto"](), set(outputs)
    for node in reversed(nodes):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    return kept[::-1]


@dataclass(frozen=True)
class _Attention:
    """Attention of one layer: from `qkv`, queries, keys and values side by side (B, N, 3C), to `output` (B, N, C)."""

    qkv: str
    heads: int
    scale: float
    output: str

    def nodes(self) -> list[NodeProto]:
        from onnx import helper

        parts = [f"{self.output}/{part}" for part in ("queries", "keys", "values")]
        attention = helper.make_node("MultiHeadAttention", parts, [self.output], domain=_DOMAIN, num_heads=self.heads)
        attention.attribute.append(helper.make_attribute("scale", self.scale))
        return [helper.make_node("Split", [self.qkv], parts, axis=2, num_outputs=3), attention]


class _OtherFormError(Exception):
    """A node is not what stands there in an attention."""


class _Graph:
    """A graph, walked from what a node gives to what it was made from."""

    def __init__(self, graph: GraphProto) -> None:
        self._makers = {output: node for node in graph.node for output in node.output}
        self._constants = {each.name: each for each in graph.initializer}

    def attention(self, joined: NodeProto) -> _Attention | None:
        """Return the attention that ends at this node, if it has the very form that `export.transformer` writes."""
        try:
            (mixed,) = self._into(joined.input[0], "Transpose", perm=[0, 2, 1, 3])
            weights, values = self._into(mixed, "MatMul")
            (scores,) = self._into(weights, "Softmax", axis=-1)
            scaled, turned = self._into(scores, "MatMul")
            (keys,) = self._into(turned, "Transpose", perm=[0, 1, 3, 2])
            queries, factor = self._into(scaled, "Mul")
            (one, first), *others = [self._into(part, "Gather", axis=0) for part in (queries, keys, values)]
            (split,) = self._into(one, "Transpose", perm=[2, 0, 3, 1, 4])
            qkv, shape = self._into(split, "Reshape")
            heads, each = self._constant(shape).tolist()[3:]
            self._require(shape, np.array([0, 0, 3, heads, each]))
            self._require(joined.input[1], np.array([0, 0, heads * each]))
            for number, (part, index) in enumerate([(one, first), *others]):
                self._require(index, np.array(number))
                if part != one:
                    return None
            scale = self._constant(factor)
        except (_OtherFormError, ValueError):  # ValueError: more or fewer inputs or numbers
            return None
        if scale.dtype != np.float32 or scale.ndim:  # the operator of the CPU has no half precision
            return None
        return _Attention(qkv, heads, float(scale), joined.output[0])

    def _into(self, name: str, operator: str, **attributes: object) -> Sequence[str]:
        """Return what goes into the node that makes a tensor."""
        from onnx import helper

        node = self._makers.get(name)
        if node is None or (node.domain, node.op_type) != ("", operator):
            raise _OtherFormError
        found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if attributes != found:
            raise _OtherFormError
        return list(node.input)

    def _require(self, name: str, values: NDArray[Any]) -> None:
        if not np.array_equal(self._constant(name), values):
            raise _OtherFormError

    def _constant(self, name: str) -> NDArray[Any]:
        from onnx import numpy_helper

        if name not in self._constants:
            raise _OtherFormError
        return numpy_helper.to_array(self._constants[name])
