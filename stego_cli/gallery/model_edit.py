"""A model file gets other classes: a last stage in its graph, and names and mask values in its metadata.

Joined classes are the union of events, so their log-probability is that of the sum: log sum_m exp(log p_m). The CRF
then refines joined classes, not their pieces. Dropped classes share one last channel, which masks hold as void (255).
The stage is always built upon the classes that were found, so an edit replaces the one before and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from stego_cli.class_edits import VOID_COLOUR, VOID_NAME, ClassEdits
from stego_cli.classes import VOID
from stego_cli.classes_toml import write_classes_file
from stego_cli.errors import ModelError
from stego_cli.hierarchy import Hierarchy
from stego_cli.inference.contract import (
    CLUSTER_OUTPUT,
    FORMAT,
    FORMAT_WITH_VALUES,
    METADATA_KEY,
    ModelInfo,
    parse_metadata,
)
from stego_cli.inference.mask_classes import edits_of_model
from stego_cli.inference.session import Session

_STAGE = "stego/classes/"  # how names of nodes and tensors of the last stage begin
_FOUND_OUTPUT = f"{_STAGE}found"  # the log-probabilities of the classes that were found
_KEPT = ("classes", "class_names", "palette", "shares")  # what the metadata says of the classes that were found
_AXES_ARE_INPUTS = 18  # version of the operators from which reductions take their axes as an input
_TOLERANCE = 1e-4  # between the stage and the same sum in numpy


def classes_of_model(content: bytes, name: str) -> ClassEdits:
    """Return the edits that a model file has.

    Raises:
        ModelError: it is not a model file of this tool.
    """
    return edits_of_model(_info(_load(content, name), name), "cluster")


def shares_of_model(content: bytes, name: str) -> tuple[float, ...]:
    """Return the share of training patches in each found class; empty if they were not counted.

    Raises:
        ModelError: it is not a model file of this tool.
    """
    about = about_of(_load(content, name), name)
    return tuple(map(float, about.get("found", about).get("shares", ())))


def hierarchy_of_model(content: bytes, name: str) -> Hierarchy:
    """Return which of the clusters in a model file a coarser choice joins; empty: it is not known.

    Raises:
        ModelError: it is not a model file of this tool.
    """
    return _info(_load(content, name), name).hierarchy


def edit_model(content: bytes, edits: ClassEdits, name: str) -> bytes:
    """Return the model file with other classes; edits that it had before are replaced.

    Args:
        content: of the model file.
        edits: of the classes that were found.
        name: of the model file, for messages.

    Raises:
        ModelError: it is not a model file of this tool, has another number of classes, or does not compute the sums.
    """
    model = _load(content, name)
    about = about_of(model, name)
    found = about.pop("found", None) or {key: about[key] for key in _KEPT if key in about}
    if edits.count != found["classes"]:
        raise ModelError(f"The edits are about {edits.count} classes; {name} has {found['classes']}.")
    if edits.splits != classes_of_model(content, name).splits:
        raise ModelError(f"The edits have other splits than {name}.")
    about.pop("classes_file", None)
    _remove_stage(model)
    groups = [entry.members for entry in edits.legend] + ([edits.drop] if edits.drop else [])
    if len(groups) != edits.count:
        _add_stage(model, groups)
    set_classes(model, len(groups))
    set_about(model, _described(about, found, edits, groups))
    edited: bytes = model.SerializeToString()
    _prove(content, edited, edits, name)
    return edited


def as_found(content: bytes, name: str) -> onnx.ModelProto:
    """Return the model without edits: its classes are those that were found, and the parts of those that were split.

    Raises:
        ModelError: it is not a model file of this tool.
    """
    model = _load(content, name)
    about = about_of(model, name)
    _remove_stage(model)
    found = about.pop("found", {})
    about.pop("classes_file", None)
    about |= found
    about |= {"format": FORMAT, "mask_values": list(range(about["classes"]))}
    set_classes(model, about["classes"])
    set_about(model, about)
    return model


def set_about(model: onnx.ModelProto, about: dict[str, Any]) -> None:
    """Write the metadata of a model."""
    helper.set_model_props(model, {METADATA_KEY: json.dumps(about)})


def set_classes(model: onnx.ModelProto, count: int) -> None:
    """Declare the number of classes that a model gives."""
    for entry in model.graph.output:
        if entry.name == CLUSTER_OUTPUT:
            entry.type.tensor_type.shape.dim[1].dim_value = count


def _load(content: bytes, name: str) -> onnx.ModelProto:
    try:
        return onnx.load_from_string(content)
    except Exception as error:  # protobuf's own, which is of no public type
        raise ModelError(f"{name} is not a readable ONNX model.") from error


def _info(model: onnx.ModelProto, name: str) -> ModelInfo:
    return parse_metadata(next((each.value for each in model.metadata_props if each.key == METADATA_KEY), None), name)


def about_of(model: onnx.ModelProto, name: str) -> dict[str, Any]:
    """Return the metadata of a model.

    Raises:
        ModelError: it is not one of this tool.
    """
    _info(model, name)
    text = next(entry.value for entry in model.metadata_props if entry.key == METADATA_KEY)
    about: dict[str, Any] = json.loads(text)
    return about


def _described(
    about: dict[str, Any], found: dict[str, Any], edits: ClassEdits, groups: Sequence[Sequence[int]]
) -> dict[str, Any]:
    """Return the metadata with the classes as they are after the edits."""
    void = [VOID] if edits.drop else []
    values = [entry.value for entry in edits.legend] + void
    about |= {
        "classes": len(groups),
        "class_names": [entry.name for entry in edits.legend] + [VOID_NAME] * len(void),
        "palette": [entry.colour for entry in edits.legend] + [VOID_COLOUR] * len(void),
        "mask_values": values,
        "found": found,
        "classes_file": write_classes_file(edits),
    }
    if found.get("shares"):
        about["shares"] = [sum(found["shares"][member] for member in group) for group in groups]
    # A version of this tool that takes channels for values in masks must not read a file in which they differ.
    about["format"] = FORMAT if values == list(range(len(values))) else FORMAT_WITH_VALUES
    return about


def _remove_stage(model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    for index in reversed(range(len(nodes))):
        if nodes[index].name.startswith(_STAGE):
            del nodes[index]
    _rename(model, _FOUND_OUTPUT, CLUSTER_OUTPUT)
    initializers = model.graph.initializer
    for index in reversed(range(len(initializers))):
        if initializers[index].name.startswith(_STAGE):
            del initializers[index]


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Give a tensor inside the graph another name."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _add_stage(model: onnx.ModelProto, groups: Sequence[Sequence[int]]) -> None:
    """Add nodes that turn the found classes' log-probabilities into those of the groups, in their order."""
    _rename(model, CLUSTER_OUTPUT, _FOUND_OUTPUT)
    graph = model.graph
    version = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    axes = helper.make_tensor(f"{_STAGE}axes", TensorProto.INT64, [1], [1])
    if version >= _AXES_ARE_INPUTS:
        graph.initializer.append(axes)
    pieces = []
    for index, members in enumerate(_runs(groups)):
        chosen, piece = f"{_STAGE}members-{index}", f"{_STAGE}piece-{index}"
        numbers = [number for group in members for number in group]
        graph.initializer.append(helper.make_tensor(chosen, TensorProto.INT64, [len(numbers)], numbers))
        graph.node.append(
            helper.make_node("Gather", [_FOUND_OUTPUT, chosen], [piece], f"{_STAGE}gather-{index}", axis=1)
        )
        if len(members) == 1 and len(numbers) > 1:
            summed = f"{_STAGE}sum-{index}"
            by_input = version >= _AXES_ARE_INPUTS
            node = helper.make_node(
                "ReduceLogSumExp", [piece, axes.name] if by_input else [piece], [summed], f"{_STAGE}join-{index}"
            )
            node.attribute.append(helper.make_attribute("keepdims", 1))
            if not by_input:
                node.attribute.append(helper.make_attribute("axes", [1]))
            graph.node.append(node)
            piece = summed
        pieces.append(piece)
    graph.node.append(helper.make_node("Concat", pieces, [CLUSTER_OUTPUT], f"{_STAGE}concat", axis=1))


def _runs(groups: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Return the groups with those of one member each that follow each other taken together."""
    runs: list[list[Sequence[int]]] = []
    for group in groups:
        if runs and len(group) == 1 and len(runs[-1][-1]) == 1:
            runs[-1].append(group)
        else:
            runs.append([group])
    return runs


def _prove(before: bytes, after: bytes, edits: ClassEdits, name: str) -> None:
    """Run the model as it was found and as it is now, and compare the sums.

    Raises:
        ModelError: they differ.
    """
    old = Session.from_bytes(as_found(before, name).SerializeToString(), "cpu", name)
    new = Session.from_bytes(after, "cpu", name)
    side = 4 * old.info.patch
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    probabilities = np.exp(old.log_probs(image).astype(np.float64))
    groups = [entry.members for entry in edits.legend] + ([edits.drop] if edits.drop else [])
    wanted = np.stack([probabilities[:, list(group)].sum(1) for group in groups], 1)
    got = new.log_probs(image)
    if got.shape != wanted.shape or not np.isfinite(got).all() or np.abs(np.exp(got) - wanted).max() > _TOLERANCE:
        raise ModelError(f"{name} does not compute the joined classes; nothing was written.")
