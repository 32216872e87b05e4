"""The dense CRF on an NVIDIA GPU: the lattice built there in torch, the mean-field passes as Triton kernels.

The same sums as stego_cli/crf/torch_engine.py, a batch of photographs at a time and nothing through the host:

- Probabilities are rows of a pixel's classes, (pixels, width); the unary term is read as planes, (K, H, W), just as a
  network leaves it, and results are written the same way, so nothing is ever transposed in memory.
- The spatial kernel's lattice depends on the size alone: it is built once and shared by the photographs of all batches.
- Normalisation, compatibility and the lattice's scale are folded into the weights of splatting and slicing.
- Splatting gathers, from lists that the sort has left behind: no atomics, so equal input gives equal bytes.

An iteration over a photograph of 320 x 320 with 27 classes (rows of 112 bytes, lattices of about one vertex a pixel)
moves 240 MB by count, of which blurring takes half; none of this has been timed yet.
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

from stego_cli.crf import lattice
from stego_cli.crf.lattice import Lattice
from stego_cli.crf.torch_engine import NORM_FLOOR
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

if TYPE_CHECKING:
    from types import ModuleType

_SHORT = 32  # pixels of a vertex that its lane gathers one after the other; longer lists have programs of their own
_BLOCK = 1024  # elements a program holds of each operand: 8 a thread
_LONG_BLOCK = 2048  # the same for the long lists
_INTERPRETED_BLOCK = 1 << 17  # the interpreter pays for each program, not for its elements
_SHARE_OF_MEMORY = 0.25  # of the GPU's, that a pass over some of a batch's photographs is planned to take
_BYTES_PER_ENTRY = 96  # of building a lattice, for each corner of each pixel
_ROWS_PER_PIXEL = 6  # probabilities, the values of two lattices of up to 1.5 vertices a pixel, a spare


def missing() -> str | None:
    """Return why this engine cannot be used here, or None."""
    try:
        _kernels()
    except UsageError:
        return "Triton is not installed"
    return None if torch.cuda.is_available() or _interpreted() else "there is no NVIDIA GPU that torch can use"


def refine(
    images: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, threads: int = 1
) -> NDArray[np.float32]:
    """Refine a batch of photographs held by the host: see `refine_on_device`. `threads` is ignored.

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
    _kernels()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not _interpreted():
        raise UsageError("The CRF engine 'cuda' found no NVIDIA GPU.", "Choose another engine.")
    refined = refine_on_device(torch.tensor(images, device=device), torch.tensor(log_probs, device=device), settings)
    return refined.cpu().numpy()


def refine_on_device(images: Tensor, log_probs: Tensor, settings: CrfSettings) -> Tensor:
    """Refine photographs on the GPU that holds them, on its current stream.

    Calls share what they build for a size: on another stream a call must not begin before the one before it has ended.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite, on the same device.
        settings: kernels and iterations.

    Returns:
        float32 (B, K, H, W), log-probabilities on the same device.

    Raises:
        UsageError: Triton is missing, or the kernels are too narrow for the lattice's codes.
    """
    return _refine(images, log_probs, settings, torch.empty_like(log_probs, memory_format=torch.contiguous_format))


def labels_on_device(images: Tensor, log_probs: Tensor, settings: CrfSettings) -> Tensor:
    """Return each pixel's likeliest class after refining, uint8 (B, H, W), K <= 256: see `refine_on_device`."""
    if log_probs.shape[1] > 256:
        raise ValueError(f"{log_probs.shape[1]} classes do not fit a byte")
    return _refine(images, log_probs, settings, images.new_empty(images.shape[:3]))


@torch.inference_mode()
def _refine(images: Tensor, log_probs: Tensor, settings: CrfSettings, result: Tensor) -> Tensor:
    """Refine into `result`, as many photographs at a time as memory is likely to hold."""
    with torch.cuda.device(images.get_device()):  # where Triton starts its kernels; -1, the CPU, changes nothing
        for part in _parts(images, log_probs.shape[1]):
            _MeanField(images[part], log_probs[part].contiguous(), settings).run(settings.iterations, result[part])
    return result


def _parts(images: Tensor, classes: int) -> Iterator[slice]:
    """Cut a batch into parts whose working memory stays within the share that is planned for it."""
    batch, height, width, _ = images.shape
    whole = torch.cuda.get_device_properties(images.device).total_memory if images.is_cuda else 4 << 30
    need = height * width * (6 * _BYTES_PER_ENTRY + _ROWS_PER_PIXEL * 4 * _width(classes))
    size = max(1, int(whole * _SHARE_OF_MEMORY) // max(need, 1))
    return (slice(start, start + size) for start in range(0, batch, size))


def _width(classes: int) -> int:
    """Return the channels of a row: a multiple of 4, that is of 16 bytes."""
    return -(-classes // 4) * 4


def _kernels() -> ModuleType:
    try:
        from stego_cli.crf import triton_kernels
    except ImportError:
        raise UsageError("The CRF engine 'cuda' needs Triton.", "Choose another engine.") from None
    return triton_kernels


def _interpreted() -> bool:
    """Whether the kernels run in Triton's interpreter, on the CPU."""
    return type(_kernels().splat).__name__ == "InterpretedFunction"


@dataclass(frozen=True)
class _Filter:
    """A Gaussian filter between pixels: a lattice, with the normalisation folded into its weights."""

    grid: Lattice
    pixels: Tensor  # int32 (entries): the pixel to gather, grouped by vertex
    splat_weights: Tensor  # float32 (entries)
    slice_weights: Tensor  # float32 (D, P)
    long: Tensor  # int32: vertices with more than _SHORT pixels

    def splat(self, probs: Tensor, values: Tensor, photographs: int) -> None:
        """Gather (photographs * P, width) rows of pixels into (photographs * M, width) rows of vertices."""
        kernels, count, pixels = _kernels(), self.grid.count, self.grid.vertices.shape[1]
        block = _block(probs)
        arguments = (probs, self.pixels, self.splat_weights, self.grid.first, values)
        grid = (-(-count // block["ROWS"]), photographs)
        kernels.splat[grid](*arguments, pixels, count, SHORT=_SHORT, **block)
        if len(self.long):
            block["ROWS"] = max(1, _LONG_BLOCK // block["COLS"])
            kernels.splat_long[(len(self.long), photographs)](*arguments, self.long, pixels, count, **block)

    def blur(self, values: Tensor, spare: Tensor, photographs: int) -> Tensor:
        """Blur along all axes, back and forth between two buffers; return the one that holds the result."""
        axes, count = self.grid.neighbours, self.grid.count
        block = _block(values)
        grid = (-(-count // block["ROWS"]), photographs)
        for axis in range(0, len(axes), 2):
            pair = axis + 1 < len(axes)
            second = axes[axis + 1] if pair else axes[axis]
            _kernels().blur[grid](values, spare, axes[axis], second, count, axes.shape[2], PAIR=pair, **block)
            values, spare = spare, values
        return values


def _block(rows: Tensor) -> dict[str, int]:
    """Return what a kernel on (n, width) rows is compiled for: the shape of a program's block, and fused a * b + c."""
    width = rows.shape[1]
    cols = 1 << (width - 1).bit_length()
    elements = _INTERPRETED_BLOCK if _interpreted() else _BLOCK
    return {"WIDTH": width, "ROWS": max(1, elements // cols), "COLS": cols, "enable_fp_fusion": True}


def _filter(grid: Lattice, compat: float) -> _Filter:
    """Fold n = 1 / sqrt(G(1)) into the weights, and into those of slicing the compatibility and the lattice's scale."""
    pixels = grid.vertices.shape[1]
    weights = grid.weights.flatten()[grid.entries]
    long = (torch.diff(grid.first) > _SHORT).nonzero().squeeze(1).to(torch.int32)
    plain = _Filter(grid, grid.entries % pixels, weights, grid.weights, long)
    ones, values = weights.new_ones(pixels, 4), weights.new_empty(grid.count, 4)
    plain.splat(ones, values, 1)
    blurred = plain.blur(values, torch.empty_like(values), 1)[:, 0].contiguous()
    filtered = torch.zeros_like(grid.weights[0])
    for vertices, shares in zip(grid.vertices, grid.weights, strict=True):
        filtered += shares * blurred[vertices]
    norm = torch.rsqrt(filtered * grid.alpha + NORM_FLOOR)
    return _Filter(
        grid, plain.pixels, weights * norm[plain.pixels], grid.weights * (norm * (grid.alpha * compat)), long
    )


@lru_cache(maxsize=8)  # sizes times GPUs; a filter holds about 110 bytes a pixel of its GPU's memory
def _spatial_filter(height: int, width: int, sxy: float, compat: float, device: torch.device) -> _Filter:
    return _filter(lattice.build(lattice.spatial_features(height, width, sxy, device)), compat)


class _MeanField:
    """Mean-field inference over photographs of one size: their filters and buffers."""

    def __init__(self, images: Tensor, log_probs: Tensor, settings: CrfSettings) -> None:
        self.photographs, self.height, self.width, _ = images.shape
        self.unary = log_probs
        self.spatial = _spatial_filter(
            self.height, self.width, settings.gaussian_sxy, settings.gaussian_compat, images.device
        )
        features = lattice.bilateral_features(images, settings.bilateral_sxy, settings.bilateral_srgb)
        self.bilateral = _filter(lattice.build(features, self.photographs), settings.bilateral_compat)

    def run(self, iterations: int, result: Tensor) -> None:
        """Iterate, and write log-probabilities (float32 planes) or labels (bytes) into `result`."""
        kernels = _kernels()
        width = _width(self.unary.shape[1])
        probs = self.unary.new_empty(self.photographs * self.height * self.width, width)
        rows = self.photographs * self.spatial.grid.count, self.bilateral.grid.count
        own = [self.unary.new_empty(count, width) for count in rows]
        spare = self.unary.new_empty(max(rows), width)
        probabilities = kernels.PROBS.value
        last = (kernels.LABELS if result.dtype == torch.uint8 else kernels.LOG_PROBS).value
        self._update(None, probs if iterations else result, probabilities if iterations else last)
        for iteration in range(1, iterations + 1):
            done = iteration == iterations
            self.spatial.splat(probs, own[0], self.photographs)
            self.bilateral.splat(probs, spare, 1)
            bilateral = self.bilateral.blur(spare, own[1], 1)
            spatial = self.spatial.blur(own[0], spare, self.photographs)
            self._update((spatial, bilateral), result if done else probs, last if done else probabilities)

    def _update(self, values: tuple[Tensor, Tensor] | None, result: Tensor, output: int) -> None:
        """Write the softmax of the unary term and of both kernels' messages, sliced from their blurred values."""
        spatial, bilateral = self.spatial, self.bilateral
        pixels, classes = self.height * self.width, self.unary.shape[1]
        block = _block(self.unary.new_empty(0, _width(classes)))
        corners = (0, 0) if values is None else (len(spatial.grid.vertices), len(bilateral.grid.vertices))
        spatial_values, bilateral_values = values or (self.unary, self.unary)
        _kernels().update[(-(-pixels // block["ROWS"]), self.photographs)](
            self.unary,
            spatial_values,
            spatial.grid.vertices,
            spatial.slice_weights,
            spatial.grid.count,
            bilateral_values,
            bilateral.grid.vertices,
            bilateral.slice_weights,
            bilateral.grid.vertices.shape[1],
            result,
            pixels,
            classes,
            SPATIAL=corners[0],
            BILATERAL=corners[1],
            OUTPUT=output,
            **block,
        )
