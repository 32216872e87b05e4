"""A plain vision transformer as a part of the graph: what `model.vit.FrozenViT` computes, from pixels to features."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.builder import FLOAT, HALF, Builder
from export.pixels import Sizes
from export.positions import resampled
from stego_cli.model.vit import FrozenViT

_NOTHING = ("Identity", "Dropout", "DropPath")  # layers that do nothing outside of training
_NORMS = ("LayerNorm", "Identity")


def is_plain(backbone: FrozenViT) -> bool:
    """Return whether `features` can write the backbone: timm has transformers of many other kinds."""
    vit = backbone.vit
    return (
        backbone.row.positions != "none"
        and _kind(vit.norm) in _NORMS
        and _kind(vit.norm_pre) in _NORMS
        and all(_is_plain_block(block) for block in vit.blocks)
    )


def _is_plain_block(block: Any) -> bool:  # noqa: ANN401  (timm is untyped)
    layers = {
        "norm1": _NORMS,
        "norm2": _NORMS,
        "attn": ("Attention",),
        "mlp": ("Mlp",),
        "ls1": ("LayerScale", "Identity"),
        "ls2": ("LayerScale", "Identity"),
    }
    return (
        _kind(block) == "Block"
        and _has_only(block, layers)
        and _has_only(block.attn, {"qkv": ("Linear",), "proj": ("Linear",)})
        and _has_only(block.mlp, {"fc1": ("Linear",), "act": ("GELU",), "fc2": ("Linear",)})
        and block.mlp.act.approximate == "none"
    )


def _has_only(module: nn.Module, layers: dict[str, tuple[str, ...]]) -> bool:
    """Return whether a module has these layers, each of one of its kinds, and no others that do something."""
    found = dict(module.named_children())
    return layers.keys() <= found.keys() and all(
        _kind(layer) in layers.get(name, _NOTHING) for name, layer in found.items()
    )


def _kind(module: object) -> str:
    return type(module).__name__


def features(build: Builder, backbone: FrozenViT, image: str, sizes: Sizes) -> str:
    """Return features (B, h, w, C) of `image`, uint8 (B, H, W, 3), in the precision of the backbone."""
    vit = backbone.vit
    tokens = _norm(build, _embedded(build, backbone, image, sizes), vit.norm_pre)
    *before, last = vit.blocks
    for block in before:
        tokens = _block(build, tokens, block)
    if backbone.token == "key":
        width = backbone.row.width
        keys, qkv = slice(width, 2 * width), last.attn.qkv  # queries, keys, values
        bias = None if qkv.bias is None else qkv.bias[keys]
        tokens = _product(build, _norm(build, tokens, last.norm1), qkv.weight[keys], bias)
    else:
        tokens = _norm(build, _block(build, tokens, last), vit.norm)
    if vit.num_prefix_tokens:
        tokens = build.part(tokens, 1, int(vit.num_prefix_tokens))
    return build.add("Reshape", tokens, build.add("Concat", [0], sizes.rows, sizes.columns, [-1], axis=0))


def linear(build: Builder, values: str, layer: nn.Linear) -> str:
    """Return what a linear layer makes of values (..., n)."""
    return _product(build, values, layer.weight, layer.bias)


def _product(build: Builder, values: str, weight: Tensor, bias: Tensor | None) -> str:
    product = build.add("MatMul", values, build.weight(weight, transposed=True))
    return product if bias is None else build.add("Add", product, build.weight(bias))


def _embedded(build: Builder, backbone: FrozenViT, image: str, sizes: Sizes) -> str:
    """Return the patch embedding plus resampled positions, after the class and register tokens: (B, N, C)."""
    vit, row = backbone.vit, backbone.row
    pixels = build.add("Sub", build.add("Cast", image, to=FLOAT), build.weight(backbone.mean.float()))
    pixels = build.add("Transpose", build.add("Div", pixels, build.weight(backbone.std.float())), perm=[0, 3, 1, 2])
    project, half = vit.patch_embed.proj, vit.pos_embed.dtype == torch.float16
    weights = [build.weight(each) for each in (project.weight, project.bias) if each is not None]
    if half:
        pixels = build.add("Cast", pixels, to=HALF)
    patches = build.add("Conv", pixels, *weights, kernel_shape=[row.patch] * 2, strides=[row.patch] * 2)
    tokens = build.add("Transpose", build.add("Reshape", patches, [0, row.width, -1]), perm=[0, 2, 1])
    grid, prefix = backbone.position_table(), backbone.prefix()
    # Resampled in float32: in half precision tokens would differ by more than the parity check allows.
    positions = resampled(build, grid.float(), sizes.rows, sizes.columns, row.positions)
    tokens = build.add("Add", tokens, build.add("Cast", positions, to=HALF) if half else positions)
    if prefix is None:
        return tokens
    first = build.add("Expand", build.weight(prefix), build.add("Concat", sizes.batch, [1, 1], axis=0))
    return build.add("Concat", first, tokens, axis=1)


def _block(build: Builder, tokens: str, block: Any) -> str:  # noqa: ANN401  (timm is untyped)
    """Return the tokens (B, N, C) after a block."""
    attended = _scaled(build, _attention(build, _norm(build, tokens, block.norm1), block.attn), block.ls1)
    tokens = build.add("Add", tokens, attended)
    wide = build.add("Gelu", linear(build, _norm(build, tokens, block.norm2), block.mlp.fc1))
    return build.add("Add", tokens, _scaled(build, linear(build, wide, block.mlp.fc2), block.ls2))


def _attention(build: Builder, tokens: str, layer: Any) -> str:  # noqa: ANN401  (timm is untyped)
    """Return softmax(q k^T / sqrt(n)) v of each head, through the last layer: (B, N, C) of tokens (B, N, C)."""
    heads, each = layer.num_heads, layer.qkv.out_features // 3 // layer.num_heads
    qkv = build.add("Reshape", linear(build, tokens, layer.qkv), [0, 0, 3, heads, each])
    qkv = build.add("Transpose", qkv, perm=[2, 0, 3, 1, 4])  # (3, B, heads, N, n)
    queries, keys, values = (build.add("Gather", qkv, np.array(index), axis=0) for index in range(3))
    dtype = np.float16 if layer.qkv.weight.dtype == torch.float16 else np.float32
    queries = build.add("Mul", queries, np.array(layer.scale, dtype))
    scores = build.add("MatMul", queries, build.add("Transpose", keys, perm=[0, 1, 3, 2]))
    mixed = build.add("MatMul", build.add("Softmax", scores, axis=-1), values)
    joined = build.add("Reshape", build.add("Transpose", mixed, perm=[0, 2, 1, 3]), [0, 0, heads * each])
    return linear(build, joined, layer.proj)


def _norm(build: Builder, tokens: str, layer: Any) -> str:  # noqa: ANN401  (timm is untyped)
    if not isinstance(layer, nn.LayerNorm):
        return tokens
    weights = (build.weight(layer.weight), build.weight(layer.bias))
    return build.add("LayerNormalization", tokens, *weights, axis=-1, epsilon=layer.eps)


def _scaled(build: Builder, tokens: str, layer: Any) -> str:  # noqa: ANN401  (timm is untyped)
    return build.add("Mul", tokens, build.weight(layer.gamma)) if hasattr(layer, "gamma") else tokens
