"""Writing an ONNX graph node by node: tensors are names, and what is computed from them gets a new one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

END = np.iinfo(np.int64).max  # of a slice that goes on to the last
OPSET, _IR = 20, 10  # the first with GELU as one operator, and the file format of its time

# A tensor of the graph by its name, or a constant: whole numbers are int64, one float is a float32 of no dimensions.
Operand = str | float | Sequence[int] | NDArray[np.generic]


class Builder:
    """The nodes and constants of one graph, in the order in which they were added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._known: dict[object, str] = {}  # what a constant holds, to its name

    def add(self, operator: str, *operands: Operand, **attributes: int | float | str | Sequence[int]) -> str:
        """Add a node of one output, and return the name of that output."""
        name = f"{operator}_{len(self._nodes)}"
        inputs = [each if isinstance(each, str) else self._constant(each) for each in operands]
        node = helper.make_node(operator, inputs, [name], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return name

    def weight(self, tensor: Tensor, transposed: bool = False) -> str:
        """Return the name of a constant with the values of `tensor`, which is not stored twice."""
        key = (tensor.data_ptr(), tuple(tensor.shape), transposed)
        if key not in self._known:
            values = (tensor.T if transposed else tensor).detach().cpu().contiguous().numpy()
            self._known[key] = self._stored(values)
        return self._known[key]

    def size(self, tensor: str, axis: int) -> str:
        """Return the length of an axis, int64 (1,)."""
        return self.add("Shape", tensor, start=axis, end=axis + 1)

    def part(self, tensor: str, axis: int, start: int, end: int = END, step: int = 1) -> str:
        """Return `tensor[start:end:step]` along an axis."""
        return self.add("Slice", tensor, [start], [end], [axis], [step])

    def insert(self, graph: onnx.GraphProto, inputs: Sequence[str], copy: int) -> list[str]:
        """Add all nodes of another graph, and return the names of its outputs here.

        Args:
            graph: its constants are stored once, however often it is added.
            inputs: tensors of this graph for its inputs, in order.
            copy: makes the names of its tensors unique.
        """
        names = dict(zip((entry.name for entry in graph.input), inputs, strict=True))
        for tensor in graph.initializer:
            names[tensor.name] = f"inserted/{tensor.name}"
            if names[tensor.name] not in self._known:
                self._known[names[tensor.name]] = ""
                self._constants.append(onnx.TensorProto())
                self._constants[-1].CopyFrom(tensor)
                self._constants[-1].name = names[tensor.name]
        for node in graph.node:
            names |= {output: f"inserted/{copy}/{output}" for output in node.output if output}
            added = onnx.NodeProto()
            added.CopyFrom(node)
            added.name = f"inserted/{copy}/{node.name}"
            added.input[:] = [names.get(name, name) for name in node.input]
            added.output[:] = [names.get(name, name) for name in node.output]
            self._nodes.append(added)
        return [names[entry.name] for entry in graph.output]

    def model(
        self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[tuple[str, onnx.ValueInfoProto]]
    ) -> onnx.ModelProto:
        """Return the graph as a model.

        Args:
            name: of the graph.
            inputs: its inputs.
            outputs: names of tensors, and what they are outside.
        """
        for tensor, declared in outputs:
            self._nodes.append(helper.make_node("Identity", [tensor], [declared.name], f"output_{declared.name}"))
        graph = helper.make_graph(self._nodes, name, inputs, [each for _, each in outputs], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR)

    def _constant(self, values: float | Sequence[int] | NDArray[np.generic]) -> str:
        if isinstance(values, int | float):
            array: NDArray[np.generic] = np.array(values, np.float32)
        else:
            array = values if isinstance(values, np.ndarray) else np.array(values, np.int64)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = self._stored(array)
        return self._known[key]

    def _stored(self, values: NDArray[np.generic]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name


def declared(name: str, kind: int, shape: Sequence[int | str]) -> onnx.ValueInfoProto:
    """Return the declaration of an input or output; `kind` is one of `TensorProto`'s types."""
    return helper.make_tensor_value_info(name, kind, shape)


UINT8, FLOAT, HALF = TensorProto.UINT8, TensorProto.FLOAT, TensorProto.FLOAT16
