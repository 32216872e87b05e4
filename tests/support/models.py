"""A model file of the contract, made by hand, that runs in milliseconds."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stego_cli.classes import numbered
from stego_cli.hierarchy import hierarchy_of
from stego_cli.inference.contract import METADATA_KEY, ExportRecord, ModelInfo, metadata_text
from stego_cli.palette import palette

TINY_CLASSES = ("red", "green", "blue", "dark")
TINY_RES = 56
CODED_PATCH = 4


def tiny_graph(flip: bool = False) -> onnx.ModelProto:
    """Return a model of the contract that tells colours apart: red, green, blue, and dark.

    Args:
        flip: what the metadata says of flip averaging; of colours alone, it would change nothing.
    """
    weights = [0.1, 0, 0, 0, 0.1, 0, 0, 0, 0.1, 0, 0, 0]  # (4, 3, 1, 1): a class a channel; dark is the bias alone
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["planes", "weights", "bias"], ["scores"]),
            helper.make_node("LogSoftmax", ["scores"], ["cluster_log_probs"], axis=1),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", "H", "W", 3])],
        [helper.make_tensor_value_info("cluster_log_probs", TensorProto.FLOAT, ["B", 4, "H", "W"])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [4, 3, 1, 1], weights),
            helper.make_tensor("bias", TensorProto.FLOAT, [4], [0, 0, 0, 6.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    info = ModelInfo(
        classes=len(TINY_CLASSES),
        class_names=TINY_CLASSES,
        palette=palette(len(TINY_CLASSES)),
        patch=14,
        res=TINY_RES,
        backbone="none",
        flip=flip,
        precision="fp32",
    )
    helper.set_model_props(model, {METADATA_KEY: metadata_text(info)})
    return model


def coded_graph(centroids: np.ndarray, temperature: float = 5.0) -> onnx.ModelProto:
    """Return a model of the contract whose codes are the colours of cells, in the form that an export has.

    Args:
        centroids: (K, 3), unit length; a colour c is the code (c - 127.5) / 127.5.
        temperature: of the cluster probe.
    """
    classes, patch = len(centroids), CODED_PATCH
    node, number = helper.make_node, lambda name, *values: numpy_helper.from_array(np.array(values, np.int64), name)
    graph = helper.make_graph(
        [
            node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
            node("Sub", ["floats", "middle"], ["centred"]),
            node("Div", ["centred", "middle"], ["scaled"]),
            node("Transpose", ["scaled"], ["planes"], perm=[0, 3, 1, 2]),
            node("AveragePool", ["planes"], ["cells"], kernel_shape=[patch, patch], strides=[patch, patch]),
            node("Transpose", ["cells"], ["codes"], perm=[0, 2, 3, 1]),
            node("MatMul", ["codes", "centroids"], ["products"]),
            node("Transpose", ["products"], ["small"], perm=[0, 3, 1, 2]),
            node("Resize", ["small", "", "scales"], ["scores"], mode="nearest"),
            node("Exp", ["scores"], ["exp"]),
            node("Shape", ["planes"], ["shape"]),
            *(node("Gather", ["shape", f"at{place}"], [f"side{place}"]) for place in (0, 2, 3)),
            node("Concat", ["side0", "classes", "rest"], ["flat_size"], axis=0),
            node("Reshape", ["exp", "flat_size"], ["flat"]),
            node("MatMul", ["ones", "flat"], ["total"]),
            node("Log", ["total"], ["log"]),
            node("Concat", ["side0", "one", "side2", "side3"], ["size"], axis=0),
            node("Reshape", ["log", "size"], ["plane"]),
            node("Sub", ["scores", "plane"], ["cluster_log_probs"]),
        ],
        "coded",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", "H", "W", 3])],
        [helper.make_tensor_value_info("cluster_log_probs", TensorProto.FLOAT, ["B", classes, "H", "W"])],
        [
            numpy_helper.from_array(np.float32(127.5), "middle"),
            numpy_helper.from_array((temperature * centroids.T).astype(np.float32), "centroids"),
            numpy_helper.from_array(np.array([1, 1, patch, patch], np.float32), "scales"),
            numpy_helper.from_array(np.ones((1, classes), np.float32), "ones"),
            *(number(f"at{place}", place) for place in (0, 2, 3)),
            *(number("classes", classes), number("rest", -1), number("one", 1)),
        ],
        value_info=[helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", classes, "H", "W"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    shares = tuple(1 / classes for _ in range(classes))
    info = ModelInfo(
        classes=classes,
        class_names=numbered(classes).names,
        palette=palette(classes),
        patch=patch,
        res=40,
        backbone="none",
        flip=False,
        precision="fp32",
        hierarchy=hierarchy_of(centroids, shares),
    )
    record = ExportRecord("0", shares, 0, "feat", "", "")
    helper.set_model_props(model, {METADATA_KEY: metadata_text(info, record)})
    return model
