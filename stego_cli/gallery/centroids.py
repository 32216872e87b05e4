"""The cluster probe in a model file's graph: its centroids, the codes that they are held against, and more centroids.

An exported graph multiplies the codes of cells (B, h, w, D) with the centroids (D, K), enlarges the products to
pixels, divides by the length of each pixel's code, adds the classes' log-prior (K, 1, 1) where they have one, and
normalises over the K classes. The centroids are the last such constant on the way to the cluster probe's output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from stego_cli.errors import ModelError, setting
from stego_cli.gallery.survey import Floats
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT

_PIECES = "stego/split/"  # how names of constants begin that a split made
_PRIOR = "stego/prior/"  # how names begin of what adds a prior to a graph that had none


@dataclass(frozen=True)
class Clusters:
    """What codes of unit length are held against.

    Attributes:
        columns: float32 (D, K), the centroids times the temperature.
        log_prior: float32 (K,), 0 where all are alike.
    """

    columns: Floats
    log_prior: Floats


def centroids_of_model(content: bytes, classes: int) -> Floats | None:
    """Return the centroids in a model file's graph, (K, D) of unit length; None where they are not found."""
    try:
        graph = onnx.load_from_string(content).graph
    except Exception:  # protobuf's own, which is of no public type; the page does without them
        return None
    node = _product(graph, classes)
    if node is None:
        return None
    rows = _constants(graph)[node.input[1]].astype(np.float32).T
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / lengths if (lengths > 0).all() else None


class Codes:
    """The part of a model that makes codes, and what they are held against.

    Args:
        content: of a model file without a last stage of edited classes.
        classes: K.
        name: of the file, for messages.

    Attributes:
        clusters: that the codes are held against.

    Raises (when built):
        ModelError: its centroids are not found.
    """

    def __init__(self, content: bytes, classes: int, name: str) -> None:
        import onnxruntime as ort

        model = onnx.load_from_string(content)
        node = _require_product(model.graph, classes, name)
        self.clusters = _clusters(model.graph, node, classes)
        self._output = node.input[0]
        _keep_what_makes(model.graph, self._output)
        self._session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def cells(self, image: NDArray[np.uint8]) -> Floats:
        """Return the codes (h, w, D), float32, of the cells of `image` (1, H, W, 3)."""
        (codes,) = self._session.run([self._output], {INPUT: image})
        first: Floats = np.asarray(codes[0], np.float32)
        return first

    def of(self, image: NDArray[np.uint8], number: int) -> Floats:
        """Return the codes (n, D), float32, of the cells of `image` (1, H, W, 3) whose class is `number`.

        A cell's class is the most probable one, as at its middle in the whole model.
        """
        columns, log_prior = self.clusters.columns, self.clusters.log_prior
        flat = self.cells(image).reshape(-1, len(columns))
        length = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        own: Floats = flat[(flat / length @ columns + log_prior).argmax(1) == number]
        return own


def with_pieces(model: onnx.ModelProto, classes: int, number: int, pieces: tuple[Floats, Floats], name: str) -> None:
    """Put several centroids in the place of one: the first into its column, the others behind the last.

    Their priors, if there are any, add up to that of the one.

    Args:
        model: without a last stage of edited classes; it is changed.
        classes: K.
        number: of the class.
        pieces: the centroids (n, D), unit length, and the share of the class in each (n,), above 0.
        name: of the model file, for messages.

    Raises:
        ModelError: its centroids, or what depends on their number, are not found.
    """
    graph = model.graph
    node = _require_product(graph, classes, name)
    columns = _constants(graph)[node.input[1]]
    # The constant has the temperature in it.
    scaled = (pieces[0] * np.linalg.norm(columns[:, number])).astype(columns.dtype)
    _replace_input(graph, node, 1, _replaced(columns.T, number, scaled).T)
    behind = _behind(graph, node)
    if (prior := _prior(graph, behind, classes)) is not None:
        adding, place = prior
        values = _constants(graph)[adding.input[place]]
        of_pieces = (values[number] + np.log(pieces[1])[:, None, None]).astype(values.dtype)
        _replace_input(graph, adding, place, _replaced(values, number, of_pieces))
    _mend_sizes(graph, behind, classes, classes + len(scaled) - 1)
    made = {output for each in behind for output in each.output}
    kept = [entry for entry in graph.value_info if entry.name not in made]  # these say K
    del graph.value_info[:]
    graph.value_info.extend(kept)
    _drop_unused(graph)


def with_clusters(model: onnx.ModelProto, clusters: Clusters, name: str) -> Clusters:
    """Put other clusters in the place of all; return those that were there.

    Args:
        model: with or without a last stage of edited classes; it is changed.
        clusters: as many as there are.
        name: of the model file, for messages.

    Raises:
        ModelError: those that are there, or what adds their prior to, are not found.
        ValueError: the others are for codes of another length.
    """
    graph, classes = model.graph, clusters.columns.shape[1]
    node = _require_product(graph, classes, name)
    before, behind = _clusters(graph, node, classes), _behind(graph, node)
    columns = _constants(graph)[node.input[1]]
    if columns.shape != clusters.columns.shape:
        raise ValueError(f"clusters of shape {clusters.columns.shape}, not {columns.shape}")
    _replace_input(graph, node, 1, clusters.columns.astype(columns.dtype))
    prior, log_prior = _prior(graph, behind, classes), clusters.log_prior[:, None, None]
    if prior is not None:
        _replace_input(graph, *prior, log_prior)
    elif log_prior.any():
        _add_prior(graph, behind, log_prior, name)
    _drop_unused(graph)
    return before


def _clusters(graph: onnx.GraphProto, node: onnx.NodeProto, classes: int) -> Clusters:
    """Return the clusters that a node multiplies codes with."""
    constants, prior = _constants(graph), _prior(graph, _behind(graph, node), classes)
    log_prior = np.zeros(classes) if prior is None else constants[prior[0].input[prior[1]]].reshape(-1)
    return Clusters(constants[node.input[1]].astype(np.float32), log_prior.astype(np.float32))


def _add_prior(graph: onnx.GraphProto, behind: list[onnx.NodeProto], log_prior: Floats, name: str) -> None:
    """Add a log-prior (K, 1, 1) to the scores, from which the last difference takes the logarithm of their sum."""
    last = next((node for node in reversed(behind) if node.op_type == "Sub"), None)
    maker = None if last is None else _makers(graph).get(last.input[0])
    if last is None or maker is None:
        raise ModelError(
            f"The scores of the classes are not found in {name}.", f"Export it again, or give {setting('no_fit')}."
        )
    scores, with_prior = last.input[0], f"{_PRIOR}scores"
    for node in behind:
        for place, given in enumerate(node.input):
            if given == scores:
                node.input[place] = with_prior
    adding = onnx.helper.make_node("Add", [scores, f"{_PRIOR}log"], [with_prior], f"{_PRIOR}add")
    graph.initializer.append(numpy_helper.from_array(log_prior, f"{_PRIOR}log"))
    graph.node.insert(list(graph.node).index(maker) + 1, adding)


def _replaced(rows: NDArray[np.generic], number: int, pieces: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return rows with the first of the pieces in the place of one, and the others behind the last."""
    return np.concatenate([rows[:number], pieces[:1], rows[number + 1 :], pieces[1:]])


def _prior(graph: onnx.GraphProto, behind: list[onnx.NodeProto], classes: int) -> tuple[onnx.NodeProto, int] | None:
    """Return the node that adds the classes' log-prior, and which of its inputs that is; None: they have none."""
    constants = _constants(graph)
    for node in behind:
        for place, name in enumerate(node.input if node.op_type == "Add" else ()):
            if name in constants and constants[name].shape == (classes, 1, 1):
                return node, place
    return None


def _mend_sizes(graph: onnx.GraphProto, behind: list[onnx.NodeProto], before: int, after: int) -> None:
    """Replace the constants that hold the number of classes: the ones of the sum over them, and sizes of Reshape."""
    constants, makers = _constants(graph), _makers(graph)
    behind_outputs = {output for each in behind for output in each.output}
    for node in behind:
        if node.op_type == "MatMul" and node.input[1] in behind_outputs:
            ones = constants.get(node.input[0])
            if ones is not None and ones.shape == (1, before):
                _replace_input(graph, node, 0, np.ones((1, after), ones.dtype))
        if node.op_type != "Reshape":
            continue
        for owner, place in _parts_of_size(node, makers):
            size = constants.get(owner.input[place])
            # Batch, classes and then the rest; a height or a width is never a constant.
            if size is not None and (size == before).sum() == 1:
                _replace_input(graph, owner, place, np.where(size == before, after, size))


def _parts_of_size(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto]) -> list[tuple[onnx.NodeProto, int]]:
    """Return the inputs that hold parts of a Reshape's size: its own one, or those that are put together to it."""
    maker = makers.get(node.input[1])
    if maker is not None and maker.op_type == "Concat":
        return [(maker, place) for place in range(len(maker.input))]
    return [(node, 1)]


def _replace_input(graph: onnx.GraphProto, node: onnx.NodeProto, place: int, values: NDArray[np.generic]) -> None:
    """Give a node a constant of its own, since others may use the one that it has."""
    name = f"{_PIECES}{node.output[0]}-{place}"
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name == name:
            del graph.initializer[index]
    graph.initializer.append(numpy_helper.from_array(values, name))
    node.input[place] = name


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove constants that no node uses."""
    used = {given for each in graph.node for given in each.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]


def _require_product(graph: onnx.GraphProto, classes: int, name: str) -> onnx.NodeProto:
    node = _product(graph, classes)
    if node is None:
        raise ModelError(
            f"The centroids of the classes are not found in {name}.", "Export it again with `stego export-onnx`."
        )
    return node


def _product(graph: onnx.GraphProto, classes: int) -> onnx.NodeProto | None:
    """Return the node that multiplies codes with the centroids, (D, K); None: there is none."""
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for node in _backwards(graph, CLUSTER_OUTPUT):
        shape = shapes.get(node.input[1], ()) if node.op_type == "MatMul" else ()
        if len(shape) == 2 and shape[1] == classes and shape[0] > 1:
            return node
    return None


def _backwards(graph: onnx.GraphProto, output: str) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that make an output, the nearest first."""
    makers, waiting, seen = _makers(graph), [output], set[str]()
    while waiting:
        name = waiting.pop(0)
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        yield node
        waiting += list(node.input)


def _behind(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the node and all that use what it makes, in the graph's order."""
    made, nodes = set(node.output), [node]
    for each in graph.node:  # in an order in which all inputs come first
        if made & set(each.input):
            made |= set(each.output)
            nodes.append(each)
    return nodes


def _keep_what_makes(graph: onnx.GraphProto, output: str) -> None:
    """Drop all but the nodes that make one tensor, which becomes the only output."""
    wanted = {name for node in _backwards(graph, output) for name in node.output}
    kept = [node for node in graph.node if set(node.output) & wanted]
    del graph.node[:], graph.output[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.output.append(onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, None))


def _makers(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    return {each.name: numpy_helper.to_array(each) for each in graph.initializer}
