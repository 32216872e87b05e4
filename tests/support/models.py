"""A model file of the contract, made by hand, that runs in milliseconds."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from stego_cli.inference.contract import METADATA_KEY, ModelInfo, metadata_text
from stego_cli.palette import palette

TINY_CLASSES = ("red", "green", "blue", "dark")
TINY_RES = 56


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
