"""The bilateral lattice of photographs on an NVIDIA GPU, in some twenty launches.

crf/lattice.py builds the same lattice in torch, in hundreds of small operations: with few photographs a GPU then waits
for the next launch most of the time. Here a Triton kernel does what one pass over memory can; torch sorts and sums. Two
things differ from there, and change nothing in the result:

- The range of each digit of a code follows from the size of the photographs and the deviations, not from the pixels.
- Vertices are numbered by counting, not by a second sort: corners that are the first entry of a vertex are marked, and
  the marks summed over the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stego_cli.crf import lattice_kernels as kernels
from stego_cli.crf.lattice import CODE_LIMIT, TOO_MANY_CELLS, Lattice, padded
from stego_cli.errors import UsageError

_CORNERS = 6
_BLOCK, _INTERPRETED_BLOCK = 512, 1 << 17  # elements of a program; Triton's interpreter takes a time for each program
_UNIT = float(np.float32((2 / 3) ** 0.5 * _CORNERS))
_FACTORS = tuple(1 / (j * (j + 1)) ** 0.5 * _UNIT for j in range(1, _CORNERS))  # of the coordinates, x first


@dataclass(frozen=True)
class _Digits:
    """How cells become a code; see `_codes` in crf/lattice.py."""

    low: Tensor  # int64 (5): below all cells of each coordinate
    places: Tensor  # int64 (6): the value of a step in each digit, and of one in the number of the photograph
    steps: Tensor  # int64 (2, 6): from a vertex to the next one along each axis
    whole: int  # codes of a photograph


def build_bilateral(images: Tensor, sxy: float, srgb: float) -> Lattice:
    """Return the lattice that `build_lattice(bilateral_features(images, sxy, srgb), B)` returns.

    Args:
        images: uint8 (B, H, W, 3), RGB, on a GPU; or anywhere in Triton's interpreter.
        sxy: deviation in pixels.
        srgb: deviation in 8-bit steps.

    Raises:
        UsageError: the features span more cells than a code of 62 bits can number.
    """
    images = images.contiguous()
    photographs, height, width, _ = images.shape
    size, device = height * width, images.device
    pixels, entries = photographs * size, _CORNERS * photographs * size
    digits = _digits(height, width, sxy, srgb, device)
    if digits.whole * photographs >= CODE_LIMIT:
        raise UsageError(*TOO_MANY_CELLS)

    def integers(*shape: int, dtype: torch.dtype = torch.int32) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device)

    weights = torch.empty(_CORNERS, pixels, device=device)
    codes = integers(_CORNERS, pixels, dtype=torch.int64)
    _run(
        kernels.simplices, pixels,
        images, weights, codes, digits.low, digits.places, pixels, size, width, sxy, srgb, *_FACTORS,
    )  # fmt: skip
    ordered, order = torch.sort(codes.flatten(), stable=True)
    begins = torch.zeros(entries, dtype=torch.int32, device=device)
    _run(kernels.starts, entries, ordered, begins, entries)
    group = torch.cumsum(begins, 0, dtype=torch.int32)
    count = int(group[-1])

    unique, start = integers(count, dtype=torch.int64), integers(count + 1)
    first = torch.zeros(_CORNERS, pixels, dtype=torch.int32, device=device)
    _run(kernels.collect, entries, ordered, order, group, unique, start, first, entries)
    until = torch.cumsum(first.sum(0, dtype=torch.int32), 0, dtype=torch.int32)
    numbers, first_entry = integers(count), torch.zeros(count + 1, dtype=torch.int32, device=device)
    lengths = integers(count)
    _run(kernels.number, count, codes, order, unique, start, first, until, numbers, lengths, count, pixels)
    torch.cumsum(lengths, 0, dtype=torch.int32, out=first_entry[1:])
    grouped, vertices = integers(entries), integers(_CORNERS, pixels)
    _run(kernels.arrange, entries, order, group, start, numbers, first_entry, grouped, vertices, entries)
    neighbours = torch.full((_CORNERS, 2, padded(count)), count, dtype=torch.int32, device=device)
    halvings = count.bit_length()
    _run(
        kernels.neighbours, count, unique, numbers, digits.steps, neighbours, count, neighbours.shape[2], halvings,
        axes=_CORNERS,
    )  # fmt: skip
    return Lattice(vertices, weights, neighbours, grouped, first_entry)


def normalised(lattice: Lattice, blurred: Tensor, compat: float, floor: float) -> tuple[Tensor, Tensor]:
    """Return n = 1 / sqrt(G(1) + floor) of each pixel, and the weights of slicing with n, scale and `compat` in them.

    Args:
        lattice: of six corners.
        blurred: float32 (M, n): in its first column the blurred sums of weights.
        compat: the compatibility.
        floor: keeps the root above 0.
    """
    pixels = lattice.vertices.shape[1]
    norms, slice_weights = torch.empty_like(lattice.weights[0]), torch.empty_like(lattice.weights)
    _run(
        kernels.normalise, pixels, lattice.vertices, lattice.weights, blurred, norms, slice_weights, pixels,
        lattice.alpha, lattice.alpha * compat, floor, PITCH=blurred.shape[1],
    )  # fmt: skip
    return norms, slice_weights


@lru_cache(maxsize=64)
def _digits(height: int, width: int, sxy: float, srgb: float, device: torch.device) -> _Digits:
    """Return the digits for all photographs of a size: the range of each coordinate follows from those of x to red."""
    ranges = ((width - 1) / sxy, (height - 1) / sxy, *(255 / srgb,) * 3)
    most = [0.0, *(length * factor for length, factor in zip(ranges, _FACTORS, strict=True))]
    low, places = [], [_CORNERS]
    for j in range(_CORNERS - 1):
        # The coordinate is the sum of the later ones less j times its own. Two cells more on either side: rounding,
        # the way into the lattice's plane, other corners, and a neighbour's.
        smallest = math.floor(-j * most[j] / _CORNERS) - 4
        largest = math.ceil(sum(most[j + 1 :]) / _CORNERS) + 4
        low.append(smallest)
        places.append(places[-1] * (largest - smallest + 1))
    steps = [[1 - (place if j < _CORNERS - 1 else 0) for j, place in enumerate(places)]]
    steps.append([step - _CORNERS + sum(places[: _CORNERS - 1]) for step in steps[0]])
    low_, places_, steps_ = (torch.tensor(values, device=device) for values in (low, places, steps))
    return _Digits(low_, places_, steps_, places[-1])


def _run(kernel: Any, elements: int, *arguments: object, axes: int = 1, **options: object) -> None:  # noqa: ANN401
    """Start a Triton kernel over so many elements."""
    block = _BLOCK
    if type(kernel).__name__ == "InterpretedFunction":
        block = min(_INTERPRETED_BLOCK, 1 << max(elements - 1, 0).bit_length())
    kernel[(-(-elements // block), axes)](*arguments, ROWS=block, enable_fp_fusion=False, **options)
