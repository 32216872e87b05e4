"""Resampled position embeddings as a part of the graph: what `model.position_embedding.resample` computes."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from export.builder import FLOAT, Builder


def resampled(build: Builder, grid: Tensor, rows: str, columns: str, style: str) -> str:
    """Return position embeddings (rows * columns, C), float32.

    Args:
        build: the graph.
        grid: the table, (n, n, C), float32.
        rows: int64 (1,); `columns`: likewise.
        style: "bicubic", "bicubic+0.1" or "antialias", as in `resample`.
    """
    side, channels = grid.shape[1:]
    extra: str | float = 0.0
    if style == "bicubic+0.1":
        own = build.add("And", build.add("Equal", rows, [side]), build.add("Equal", columns, [side]))
        extra = build.add("Mul", build.add("Cast", build.add("Not", own), to=FLOAT), 0.1)
    down, across = (
        _antialiased(build, side, count) if style == "antialias" else _bicubic(build, side, count, extra)
        for count in (rows, columns)
    )
    tall = build.add("MatMul", down, build.weight(grid.flatten(1)))  # (rows, n * C)
    whole = build.add("MatMul", across, build.add("Reshape", tall, [-1, side, channels]))  # (rows, columns, C)
    return build.add("Reshape", whole, [-1, channels])


def places(build: Builder, count: str) -> str:
    """Return 0 to count - 1, float32 (count,), of `count`, int64 (1,)."""
    numbers = build.add("Range", np.array(0), build.add("Squeeze", count), np.array(1))
    return build.add("Cast", numbers, to=FLOAT)


def _centres(build: Builder, count: str, scale: str) -> str:
    """Return the middle of each of `count` cells in units of the table's, (count,)."""
    return build.add("Mul", build.add("Add", places(build, count), 0.5), scale)


def _bicubic(build: Builder, n_in: int, count: str, extra: str | float) -> str:
    """Return the weights (count, n_in) of plain bicubic interpolation, with the scale of a size count + extra."""
    scale = build.add("Div", float(n_in), build.add("Add", build.add("Cast", count, to=FLOAT), extra))
    source = build.add("Sub", _centres(build, count, scale), 0.5)
    source = build.add("Unsqueeze", source, [1])
    taps = build.add("Add", build.add("Floor", source), np.array([-1, 0, 1, 2], np.float32))  # (count, 4)
    weights = _cubic(build, build.add("Abs", build.add("Sub", taps, source)), -0.75)
    index = build.add("Unsqueeze", build.add("Clip", taps, 0.0, float(n_in - 1)), [2])
    hits = build.add("Cast", build.add("Equal", index, np.arange(n_in, dtype=np.float32)), to=FLOAT)
    # (count, 1, 4) times (count, 4, n_in)
    return build.add("Squeeze", build.add("MatMul", build.add("Unsqueeze", weights, [1]), hits), [1])


def _antialiased(build: Builder, n_in: int, count: str) -> str:
    """Return the weights (count, n_in) of bicubic interpolation with a kernel as wide as an output cell."""
    scale = build.add("Div", float(n_in), build.add("Cast", count, to=FLOAT))
    centre = build.add("Unsqueeze", _centres(build, count, scale), [1])
    away = build.add("Abs", build.add("Sub", np.arange(n_in, dtype=np.float32) + np.float32(0.5), centre))
    weights = _cubic(build, build.add("Div", away, build.add("Max", scale, 1.0)), -0.5)
    return build.add("Div", weights, build.add("ReduceSum", weights, [1], keepdims=1))


def _cubic(build: Builder, distance: str, a: float) -> str:
    """Return Keys' cubic kernel at |distance|."""
    near = _polynomial(build, distance, (a + 2, -(a + 3), 0.0, 1.0))
    far = _polynomial(build, distance, (a, -5 * a, 8 * a, -4 * a))
    beyond = build.add("Where", build.add("Less", distance, 2.0), far, 0.0)
    return build.add("Where", build.add("LessOrEqual", distance, 1.0), near, beyond)


def _polynomial(build: Builder, at: str, factors: tuple[float, ...]) -> str:
    """Return the polynomial with these factors, that of the highest power first."""
    first, *others = factors
    value: str | float = first
    for factor in others:
        value = build.add("Add", build.add("Mul", value, at), factor)
    assert isinstance(value, str)
    return value
