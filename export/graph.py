"""Torch to ONNX: one graph with dynamic batch, height and width, from bytes to log-probabilities.

The graph is written node by node, which takes a fraction of a second; torch's exporter is asked for backbones of other
kinds alone. The parity check of every export compares the result with torch.
"""

from __future__ import annotations

import copy

import onnx
from torch import nn

from export.builder import END, FLOAT, UINT8, Builder, declared
from export.pixels import Sizes, probabilities
from export.traced import traced
from export.transformer import features, is_plain, linear
from stego_cli.inference.contract import CLUSTER_OUTPUT, INPUT, LINEAR_OUTPUT
from stego_cli.model.head import Head
from stego_cli.model.segmenter import Segmenter
from stego_cli.model.smoothing import SHIFTS


def halved(model: Segmenter) -> Segmenter:
    """Return a copy of `model` with backbone and head in float16; normalisation and probes stay float32."""
    model = copy.deepcopy(model)
    model.backbone.vit.half()
    model.head.half()
    return model


def graph_of(model: Segmenter) -> onnx.ModelProto:
    """Return the graph of `model`, its weights inside.

    Input `image` is uint8 (B, H, W, 3); H and W are multiples of the patch, which the graph does not check.
    """
    build, patch = Builder(), model.backbone.row.patch
    batch, height, width = (build.size(INPUT, axis) for axis in range(3))
    sizes = Sizes(batch, height, width, build.add("Div", height, [patch]), build.add("Div", width, [patch]))
    code = build.add("Cast", _code(build, model, sizes), to=FLOAT)
    if model.smoothing:
        code = _smoothed(build, code, model.smoothing)
    tensors = probabilities(build, model, code, sizes)
    counts = [(CLUSTER_OUTPUT, len(model.cluster))]
    if model.has_linear:
        counts.append((LINEAR_OUTPUT, len(model.linear_weight)))
    outputs = [declared(name, FLOAT, ["batch", classes, "height", "width"]) for name, classes in counts]
    image = declared(INPUT, UINT8, ["batch", "height", "width", 3])
    return build.model("stego", [image], list(zip(tensors, outputs, strict=True)))


def _code(build: Builder, model: Segmenter, sizes: Sizes) -> str:
    """Return the code (B, h, w, D), in the precision of the head; see `Segmenter.code`."""
    backbone, head = model.backbone, model.head.folded()
    other = None if is_plain(backbone) else traced(backbone)

    def code(image: str, copy: int) -> str:
        if other is None:
            return _head(build, features(build, backbone, image, sizes), head)
        return _head(build, build.insert(other, [image], copy)[0], head)

    if not model.flip:
        return code(INPUT, 0)
    mirrored = _mirrored(build, code(_mirrored(build, INPUT), 1))
    both = build.add("Add", code(INPUT, 0), mirrored)
    return build.add("Mul", both, build.weight(next(head.parameters()).new_tensor(0.5)))


def _head(build: Builder, values: str, head: Head) -> str:
    """Return the code of features (B, h, w, C)."""
    code = linear(build, values, head.cluster1)
    if head.cluster2 is None:
        return code
    first, _, second = head.cluster2
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    wide = build.add("Relu", linear(build, values, first))
    return build.add("Add", code, linear(build, wide, second))


def _smoothed(build: Builder, code: str, sharpness: float) -> str:
    """Return the code (B, h, w, D), float32, averaged as by `stego_cli.model.smoothing.smoothed`."""
    padded = build.add("Pad", code, [0, 1, 1, 0, 0, 1, 1, 0], mode="edge")
    length = build.add("Max", build.add("ReduceL2", padded, [3], keepdims=1), 1e-12)
    units = build.add("Div", padded, length)
    own, weights, terms = _shifted(build, units, 1, 1), [], []
    for down, across in SHIFTS:
        products = build.add("Mul", own, _shifted(build, units, down, across))
        away = build.add("Sub", build.add("ReduceSum", products, [3], keepdims=1), 1.0)
        weights.append(build.add("Exp", build.add("Mul", away, sharpness)))
        terms.append(build.add("Mul", _shifted(build, padded, down, across), weights[-1]))
    return build.add("Div", build.add("Sum", *terms), build.add("Sum", *weights))


def _shifted(build: Builder, padded: str, down: int, across: int) -> str:
    """Return the cells (B, h, w, ...) that begin at a place of a padded grid (B, h + 2, w + 2, ...)."""
    rows = build.part(padded, 1, down, down - 2 or END)
    return build.part(rows, 2, across, across - 2 or END)


def _mirrored(build: Builder, tensor: str) -> str:
    """Return (B, H, W, ...) with the order of its columns turned round."""
    return build.part(tensor, 2, -1, -END, -1)
