"""The dense CRF on an NVIDIA GPU: the lattice built there in torch, the mean-field passes as Triton kernels.

The same sums as stego_cli/crf/torch_engine.py, for a batch of photographs at a time, without copies to the host:

- Probabilities are rows of a pixel's classes, (pixels, width). The unary term is read as planes, (K, H, W), which is
  the network's output, and results are written as planes: nothing is transposed in memory.
- The spatial kernel's lattice depends on the size alone. It is built once and used for the photographs of all batches.
- Normalisation, compatibility and the lattice's scale are folded into the weights of splatting and slicing.
- Splatting gathers from each vertex's list of pixels. There are no atomics, so equal input gives equal bytes.

"Kernel" is a Gaussian of the CRF here; the GPU's kernels are called Triton kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.crf.lattice import Lattice, bilateral_features, build_lattice, spatial_features
from stego_cli.crf.torch_engine import NORM_FLOOR
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

if TYPE_CHECKING:
    from types import ModuleType

SHARE_OF_MEMORY = 0.25  # of the GPU's, that working on a part of a batch may take
_SHORT = 32  # pixels of a vertex that one lane gathers one after the other; a longer list has a program of its own
_BLOCK = 1024  # elements that a program holds of each operand: 8 a thread
_LONG_BLOCK = 2048  # the same for the long lists
_INTERPRETED_BLOCK = 1 << 17  # Triton's interpreter takes a time for each program, whatever its size
_BYTES_PER_ENTRY = 96  # of building a lattice, for each corner of each pixel
_ROWS_PER_PIXEL = 6  # probabilities, the rows of two lattices of up to 1.5 vertices a pixel, a spare


def missing() -> str | None:
    """Return why this engine cannot be used here, or None."""
    try:
        _triton_kernels()
    except UsageError:
        return "Triton is not installed"
    return None if torch.cuda.is_available() or _interpreted() else "there is no NVIDIA GPU that torch can use"


def refine(
    images: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, threads: int = 1
) -> NDArray[np.float32]:
    """Refine a batch of photographs in the host's memory: see `refine_on_device`.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite.
        settings: kernels and iterations.
        threads: ignored.

    Returns:
        float32 (B, K, H, W), log-probabilities.

    Raises:
        UsageError: there is no NVIDIA GPU or no Triton.
    """
    _triton_kernels()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not _interpreted():
        raise UsageError("The CRF engine 'cuda' found no NVIDIA GPU.", "Choose another engine.")
    refined = refine_on_device(torch.tensor(images, device=device), torch.tensor(log_probs, device=device), settings)
    return refined.cpu().numpy()


@torch.inference_mode()
def refine_on_device(
    images: Tensor, log_probs: Tensor, settings: CrfSettings, share_of_memory: float = SHARE_OF_MEMORY
) -> Tensor:
    """Refine photographs in the memory of a GPU, on its current stream.

    Spatial lattices are kept between calls: a call on another stream must not begin before the last one has ended.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite, on the same device.
        settings: kernels and iterations.
        share_of_memory: of the GPU's whole memory, that refining may take; the batch is divided into parts accordingly.

    Returns:
        float32 (B, K, H, W), log-probabilities on the same device.

    Raises:
        UsageError: Triton is missing, or the kernels are too narrow for the lattice's codes.
    """
    result = torch.empty_like(log_probs, memory_format=torch.contiguous_format)
    with torch.cuda.device(images.get_device()):  # where Triton starts its kernels; -1, the CPU, changes nothing
        for part in _parts(images, log_probs.shape[1], share_of_memory):
            MeanField(images[part], log_probs[part].contiguous(), settings).run(settings.iterations, result[part])
    return result


def _parts(images: Tensor, classes: int, share_of_memory: float) -> Iterator[slice]:
    """Divide a batch into parts whose working memory stays within its share; a part has at least one photograph."""
    batch, height, width, _ = images.shape
    whole = torch.cuda.get_device_properties(images.device).total_memory if images.is_cuda else 4 << 30
    need = height * width * (6 * _BYTES_PER_ENTRY + _ROWS_PER_PIXEL * 4 * row_width(classes))
    size = max(1, int(whole * share_of_memory) // max(need, 1))
    return (slice(start, start + size) for start in range(0, batch, size))


def row_width(classes: int) -> int:
    """Return the floats of a row: the classes, padded to a multiple of 4, which is 16 bytes."""
    return -(-classes // 4) * 4


def _triton_kernels() -> ModuleType:
    try:
        from stego_cli.crf import triton_kernels
    except ImportError:
        raise UsageError("The CRF engine 'cuda' needs Triton.", "Choose another engine.") from None
    return triton_kernels


def _interpreted() -> bool:
    """Whether the Triton kernels run in Triton's interpreter, on the CPU."""
    return type(_triton_kernels().splat).__name__ == "InterpretedFunction"


@dataclass(frozen=True)
class _Filter:
    """One kernel's filter: a lattice whose weights include the normalisation."""

    lattice: Lattice
    pixels: Tensor  # int32 (entries): the pixels to gather, grouped by vertex
    splat_weights: Tensor  # float32 (entries)
    slice_weights: Tensor  # float32 (D, P)
    long: Tensor  # int32: vertices with more than _SHORT pixels

    def splat(self, probs: Tensor, values: Tensor, photographs: int) -> None:
        """Sum rows of pixels, (photographs * P, width), into rows of vertices, (photographs * M, width)."""
        kernels, count, pixels = _triton_kernels(), self.lattice.count, self.lattice.vertices.shape[1]
        block = _block(probs)
        arguments = (probs, self.pixels, self.splat_weights, self.lattice.first_entry, values)
        grid = (-(-count // block["ROWS"]), photographs)
        kernels.splat[grid](*arguments, pixels, count, SHORT=_SHORT, **block)
        if len(self.long):
            block["ROWS"] = max(1, _LONG_BLOCK // block["COLS"])
            kernels.splat_long[(len(self.long), photographs)](*arguments, self.long, pixels, count, **block)

    def blur(self, values: Tensor, spare: Tensor, photographs: int) -> Tensor:
        """Blur along all axes, from one of two buffers to the other and back; return the one with the result."""
        axes, count = self.lattice.neighbours, self.lattice.count
        block = _block(values)
        grid = (-(-count // block["ROWS"]), photographs)
        for axis in range(0, len(axes), 2):
            pair = axis + 1 < len(axes)
            second = axes[axis + 1] if pair else axes[axis]
            _triton_kernels().blur[grid](values, spare, axes[axis], second, count, axes.shape[2], PAIR=pair, **block)
            values, spare = spare, values
        return values


def _block(rows: Tensor) -> dict[str, int]:
    """Return the compile-time options of a Triton kernel on (n, width) rows."""
    width = rows.shape[1]
    cols = 1 << (width - 1).bit_length()
    elements = _INTERPRETED_BLOCK if _interpreted() else _BLOCK
    return {"WIDTH": width, "ROWS": max(1, elements // cols), "COLS": cols, "enable_fp_fusion": True}


def _filter(lattice: Lattice, compat: float) -> _Filter:
    """Multiply the weights by n = 1 / sqrt(G(1)), and those of slicing by the compatibility and the lattice's scale."""
    pixels = lattice.vertices.shape[1]
    weights = lattice.weights.flatten()[lattice.entries]
    long = (torch.diff(lattice.first_entry) > _SHORT).nonzero().squeeze(1).to(torch.int32)
    plain = _Filter(lattice, lattice.entries % pixels, weights, lattice.weights, long)
    ones, values = weights.new_ones(pixels, 4), weights.new_empty(lattice.count, 4)
    plain.splat(ones, values, 1)
    blurred = plain.blur(values, torch.empty_like(values), 1)[:, 0].contiguous()
    filtered = torch.zeros_like(lattice.weights[0])
    for vertices, corner_weights in zip(lattice.vertices, lattice.weights, strict=True):
        filtered += corner_weights * blurred[vertices]
    norm = torch.rsqrt(filtered * lattice.alpha + NORM_FLOOR)
    slice_weights = lattice.weights * (norm * (lattice.alpha * compat))
    return _Filter(lattice, plain.pixels, weights * norm[plain.pixels], slice_weights, long)


@lru_cache(maxsize=8)  # sizes times GPUs; a filter holds about 110 bytes a pixel of its GPU's memory
def spatial_filter(height: int, width: int, sxy: float, compat: float, device: torch.device) -> _Filter:
    """Return the filter of the spatial kernel, which is kept for the sizes used last."""
    return _filter(build_lattice(spatial_features(height, width, sxy, device)), compat)


class MeanField:
    """Mean-field inference over photographs of one size: their filters and buffers."""

    def __init__(self, images: Tensor, log_probs: Tensor, settings: CrfSettings) -> None:
        self.photographs, self.height, self.width, _ = images.shape
        self.unary = log_probs
        self.spatial = spatial_filter(
            self.height, self.width, settings.gaussian_sxy, settings.gaussian_compat, images.device
        )
        features = bilateral_features(images, settings.bilateral_sxy, settings.bilateral_srgb)
        self.bilateral = _filter(build_lattice(features, self.photographs), settings.bilateral_compat)

    def run(self, iterations: int, result: Tensor) -> None:
        """Iterate, and write log-probabilities, float32 (B, K, H, W), into `result`."""
        kernels = _triton_kernels()
        width = row_width(self.unary.shape[1])
        probs = self.unary.new_empty(self.photographs * self.height * self.width, width)
        rows = self.photographs * self.spatial.lattice.count, self.bilateral.lattice.count
        own = [self.unary.new_empty(count, width) for count in rows]
        spare = self.unary.new_empty(max(rows), width)
        between, last = kernels.PROBS.value, kernels.LOG_PROBS.value
        self._update(None, probs if iterations else result, between if iterations else last)
        for iteration in range(1, iterations + 1):
            done = iteration == iterations
            self.spatial.splat(probs, own[0], self.photographs)
            self.bilateral.splat(probs, spare, 1)
            bilateral = self.bilateral.blur(spare, own[1], 1)
            spatial = self.spatial.blur(own[0], spare, self.photographs)
            self._update((spatial, bilateral), result if done else probs, last if done else between)

    def _update(self, values: tuple[Tensor, Tensor] | None, result: Tensor, output: int) -> None:
        """Write the softmax of the unary term and both kernels' filtered probabilities, sliced from their vertices."""
        spatial, bilateral = self.spatial, self.bilateral
        pixels, classes = self.height * self.width, self.unary.shape[1]
        block = _block(self.unary.new_empty(0, row_width(classes)))
        corners = (0, 0) if values is None else (len(spatial.lattice.vertices), len(bilateral.lattice.vertices))
        spatial_values, bilateral_values = values or (self.unary, self.unary)
        _triton_kernels().update[(-(-pixels // block["ROWS"]), self.photographs)](
            self.unary,
            spatial_values,
            spatial.lattice.vertices,
            spatial.slice_weights,
            spatial.lattice.count,
            bilateral_values,
            bilateral.lattice.vertices,
            bilateral.slice_weights,
            bilateral.lattice.vertices.shape[1],
            result,
            pixels,
            classes,
            SPATIAL=corners[0],
            BILATERAL=corners[1],
            OUTPUT=output,
            **block,
        )
