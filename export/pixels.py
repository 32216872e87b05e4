"""The graph's last stage: class probabilities of pixels from codes of cells, without a code for each pixel.

The model upsamples the code bilinearly and then computes the cosine of each pixel to each centroid
(`Segmenter.forward`, with which the export is compared). The same numbers take a third of the work in another order. A
pixel's code is sum_i w_i c_i over the four cells around it, therefore

- its product with a centroid is the upsampled product: K planes are enlarged instead of D, and
- its squared length is sum_ij w_i w_j <c_i, c_j>: products of neighbouring cells, enlarged with products of weights.

Enlarging is a product with two small matrices, which is exact at every patch and at the borders, keeps height and width
dynamic, and runs faster than Resize. log_softmax is written out, since ONNX Runtime's own is slow along a strided axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from export.builder import Builder
from export.positions import places
from stego_cli.model.segmenter import Segmenter

# A squared length below this share of the cells' own is rounding, not length: opposite codes cancelled in between.
_CANCELLED = 1e-6
_SMALLEST = 1e-24  # the square of the length at which torch's normalize stops dividing


@dataclass(frozen=True)
class Sizes:
    """Lengths of axes, each int64 (1,)."""

    batch: str
    height: str  # in pixels
    width: str
    rows: str  # in cells
    columns: str


def probabilities(build: Builder, model: Segmenter, code: str, sizes: Sizes) -> list[str]:
    """Return the log-probabilities of each probe, (B, K, H, W), of a code, float32 (B, h, w, D)."""
    patch = model.backbone.row.patch
    down, across = bilinear(build, sizes.rows, patch), bilinear(build, sizes.columns, patch)
    centroids = build.weight(model.temperature * F.normalize(model.centroids, dim=1), transposed=True)
    products = _enlarged(build, build.add("MatMul", code, centroids), down, across)
    length = build.add("Unsqueeze", build.add("Sqrt", squared_length(build, code, down, across)), [1])
    cosines = build.add("Mul", products, build.add("Reciprocal", length))
    outputs = [_log_softmax(build, cosines, len(model.centroids), sizes)]
    if model.has_linear:
        weight = build.weight(model.linear_weight, transposed=True)
        scores = build.add("Add", build.add("MatMul", code, weight), build.weight(model.linear_bias))
        scores = _enlarged(build, scores, down, across)
        # Unlike cosines these have no bound, and exp() has.
        scores = build.add("Sub", scores, build.add("ReduceMax", scores, [1], keepdims=1))
        outputs.append(_log_softmax(build, scores, len(model.linear_weight), sizes))
    return outputs


def bilinear(build: Builder, cells: str, patch: int) -> str:
    """Return the weights (cells * patch, cells) of bilinear interpolation, float32, align_corners=False.

    Args:
        build: the graph.
        cells: int64 (1,).
        patch: pixels a cell.
    """
    first = (patch - 1) / 2
    centres = build.add("Add", build.add("Mul", places(build, cells), float(patch)), first)
    pixels = places(build, build.add("Mul", cells, [patch]))
    # Beyond the outer centres nothing changes.
    pixels = build.add("Min", build.add("Max", pixels, first), build.add("Gather", centres, np.array(-1)))
    away = build.add("Abs", build.add("Sub", build.add("Unsqueeze", pixels, [1]), centres))
    return build.add("Max", build.add("Sub", 1.0, build.add("Div", away, float(patch))), 0.0)


def squared_length(build: Builder, code: str, down: str, across: str) -> str:
    """Return the squared length (B, H, W) of each pixel's code, from the codes of the cells.

    Args:
        build: the graph.
        code: (B, h, w, D), float32.
        down: weights (H, h) of each row of cells in each row of pixels, at most two neighbours above 0.
        across: weights (W, w), likewise.
    """
    left, right = build.part(code, 2, 0, -1), build.part(code, 2, 1)
    own, beside = _inner(build, code, code), _inner(build, left, right)
    below = _inner(build, build.part(code, 1, 0, -1), build.part(code, 1, 1))
    falling = _inner(build, build.part(left, 1, 0, -1), build.part(right, 1, 1))
    rising = _inner(build, build.part(right, 1, 0, -1), build.part(left, 1, 1))
    diagonals = build.add("Mul", build.add("Add", falling, rising), 0.5)
    # Rows: each cell, then each pair of cells one above the other; columns: each cell, then each pair side by side.
    upper, lower = build.add("Concat", own, beside, axis=2), build.add("Concat", below, diagonals, axis=2)
    gram = build.add("Concat", upper, lower, axis=1)  # (B, 2h - 1, 2w - 1)
    across_pairs = build.add("Transpose", _with_pairs(build, across), perm=[1, 0])
    length = build.add("MatMul", _with_pairs(build, down), build.add("MatMul", gram, across_pairs))
    turned = build.add("Transpose", across, perm=[1, 0])
    cells = build.add("MatMul", down, build.add("MatMul", own, turned))
    least = build.add("Add", build.add("Mul", cells, _CANCELLED), _SMALLEST)
    return build.add("Max", length, least)


def _inner(build: Builder, first: str, second: str) -> str:
    """Return the products of codes, summed over their channels: (B, h, w) of (B, h, w, D)."""
    return build.add("ReduceSum", build.add("Mul", first, second), [3], keepdims=0)


def _with_pairs(build: Builder, weights: str) -> str:
    """Return (n, 2c - 1): the square of each weight (n, c), and twice the product of each two neighbours."""
    twice = build.add("Mul", build.part(weights, 1, 0, -1), 2.0)
    pairs = build.add("Mul", twice, build.part(weights, 1, 1))
    return build.add("Concat", build.add("Mul", weights, weights), pairs, axis=1)


def _enlarged(build: Builder, cells: str, down: str, across: str) -> str:
    """Return (B, K, H, W), bilinear, of values (B, h, w, K)."""
    planes = build.add("Transpose", cells, perm=[0, 3, 1, 2])
    return build.add("MatMul", down, build.add("MatMul", planes, build.add("Transpose", across, perm=[1, 0])))


def _log_softmax(build: Builder, scores: str, classes: int, sizes: Sizes) -> str:
    """Return the log_softmax over the classes of (B, K, H, W), whose exponentials neither overflow nor all vanish."""
    flat = build.add("Reshape", build.add("Exp", scores), [0, classes, -1])
    # A product with ones is the quickest sum over an axis that is not the last.
    total = build.add("Log", build.add("MatMul", np.ones((1, classes), np.float32), flat))
    shape = build.add("Concat", sizes.batch, [1], sizes.height, sizes.width, axis=0)
    return build.add("Sub", scores, build.add("Reshape", total, shape))
