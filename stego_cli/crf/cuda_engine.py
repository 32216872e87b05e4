"""The dense CRF on an NVIDIA GPU: building the lattice and the mean-field passes, as Triton kernels.

The same sums as stego_cli/crf/torch_engine.py, for a batch of photographs at a time, without copies to the host:

- Probabilities are rows of a pixel's classes, (pixels, width). The unary term is read as planes, (K, H, W), which is
  the network's output, and results are written as planes: nothing is transposed in memory.
- The spatial kernel depends on the size alone and reaches few pixels. Its lattice is made once into a stencil of some
  30 weights a pixel, which is applied within the update, to rows in on-chip memory: no splat, blur or slice.
- Normalisation, compatibility and the lattice's scale are folded into the weights.
- Splatting gathers from each vertex's list of pixels. There are no atomics, so equal input gives equal bytes.

"Kernel" is a Gaussian of the CRF here; the GPU's kernels are called Triton kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.crf.lattice import Lattice
from stego_cli.crf.spatial_stencil import spatial_stencil
from stego_cli.crf.torch_engine import NORM_FLOOR
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

if TYPE_CHECKING:
    from types import ModuleType

SHARE_OF_MEMORY = 0.25  # of the GPU's, that working on a part of a batch may take
_SHORT = 32  # pixels of a vertex that one lane gathers one after the other; a longer list has a program of its own
_BLOCK = 1024  # elements that a program holds of each operand: 8 a thread
_LONG_BLOCK = 2048  # the same for the long lists
_INTERPRETED_BLOCK = 1 << 17  # at most: Triton's interpreter takes a time for each program, and one for each element
_BYTES_PER_ENTRY = 96  # of building a lattice, for each corner of each pixel
_ROWS_PER_PIXEL = 5  # two buffers of probabilities, two of a lattice's rows, of up to 1.5 vertices a pixel
_TILE = 8  # pixels, the width of what a program updates


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
    images: Tensor,
    log_probs: Tensor,
    settings: CrfSettings,
    share_of_memory: float = SHARE_OF_MEMORY,
    chosen: Tensor | None = None,
) -> Tensor:
    """Refine photographs in the memory of a GPU, on its current stream.

    Spatial stencils are kept between calls: a call on another stream must not begin before the last one has ended.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite, on the same device.
        settings: kernels and iterations.
        share_of_memory: of the GPU's whole memory, that refining may take; the batch is divided into parts accordingly.
        chosen: uint8 (B, H, W), which gets the likeliest class of each pixel; None: that is not asked for.

    Returns:
        float32 (B, K, H, W) on the same device: log-probabilities, or probabilities where `chosen` is given.

    Raises:
        UsageError: Triton is missing, or the kernels are too narrow for the lattice's codes.
    """
    result = torch.empty_like(log_probs, memory_format=torch.contiguous_format)
    with torch.cuda.device(images.get_device()):  # where Triton starts its kernels; -1, the CPU, changes nothing
        for part in _parts(images, log_probs.shape[1], share_of_memory):
            field = MeanField(images[part], log_probs[part].contiguous(), settings)
            field.run(settings.iterations, result[part], None if chosen is None else chosen[part])
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


def _lattice_kernels() -> ModuleType:
    from stego_cli.crf import gpu_lattice  # it needs Triton

    return gpu_lattice


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

    def splat(self, probs: Tensor, values: Tensor) -> None:
        """Sum rows of pixels, (P, width), into rows of vertices, (M, width)."""
        kernels, count = _triton_kernels(), self.lattice.count
        block = _block(count, probs.shape[1])
        arguments = (probs, self.pixels, self.splat_weights, self.lattice.first_entry, values)
        kernels.splat[(-(-count // block["ROWS"]),)](*arguments, count, SHORT=_SHORT, **block)
        if len(self.long):
            block["ROWS"] = max(1, _LONG_BLOCK // block["COLS"])
            kernels.splat_long[(len(self.long),)](*arguments, self.long, **block)

    def blur(self, values: Tensor, spare: Tensor) -> Tensor:
        """Blur along all axes, from one of two buffers to the other and back; return the one with the result."""
        axes, count = self.lattice.neighbours, self.lattice.count
        block = _block(*values.shape)
        grid = (-(-count // block["ROWS"]),)
        for axis in range(0, len(axes), 2):
            pair = axis + 1 < len(axes)
            second = axes[axis + 1] if pair else axes[axis]
            _triton_kernels().blur[grid](values, spare, axes[axis], second, count, axes.shape[2], PAIR=pair, **block)
            values, spare = spare, values
        return values


def _block(count: int, width: int) -> dict[str, int]:
    """Return the compile-time options of a Triton kernel on (count, width) rows."""
    cols = 1 << (width - 1).bit_length()
    elements = min(_INTERPRETED_BLOCK, cols << max(count - 1, 0).bit_length()) if _interpreted() else _BLOCK
    return {"WIDTH": width, "ROWS": max(1, elements // cols), "COLS": cols, "enable_fp_fusion": True}


def _filter(lattice: Lattice, compat: float) -> _Filter:
    """Multiply the weights by n = 1 / sqrt(G(1)), and those of slicing by the compatibility and the lattice's scale."""
    pixels = lattice.vertices.shape[1]
    weights = lattice.weights.flatten()[lattice.entries]
    long = (torch.diff(lattice.first_entry) > _SHORT).nonzero().squeeze(1).to(torch.int32)
    plain = _Filter(lattice, lattice.entries % pixels, weights, lattice.weights, long)
    ones, values = weights.new_ones(pixels, 4), weights.new_empty(lattice.count, 4)
    plain.splat(ones, values)
    blurred = plain.blur(values, torch.empty_like(values))
    norm, slice_weights = _lattice_kernels().normalised(lattice, blurred, compat, NORM_FLOOR)
    return _Filter(lattice, plain.pixels, weights * norm[plain.pixels], slice_weights, long)


class MeanField:
    """Mean-field inference over photographs of one size: their filters and buffers."""

    def __init__(self, images: Tensor, log_probs: Tensor, settings: CrfSettings) -> None:
        self.photographs, self.height, self.width, _ = images.shape
        self.unary = log_probs
        self.stencil = spatial_stencil(
            self.height, self.width, settings.gaussian_sxy, settings.gaussian_compat, images.device
        )
        lattice = _lattice_kernels().build_bilateral(images, settings.bilateral_sxy, settings.bilateral_srgb)
        self.bilateral = _filter(lattice, settings.bilateral_compat)

    def run(self, iterations: int, result: Tensor, chosen: Tensor | None = None) -> None:
        """Iterate, and write log-probabilities, float32 (B, K, H, W), into `result`.

        With `chosen`, uint8 (B, H, W), write probabilities and there each pixel's likeliest class.
        """
        kernels = _triton_kernels()
        width = row_width(self.unary.shape[1])
        pixels, vertices = self.photographs * self.height * self.width, self.bilateral.lattice.count
        probs, others = (self.unary.new_empty(pixels, width) for _ in range(2))
        values, spare = (self.unary.new_empty(vertices, width) for _ in range(2))
        between, last = kernels.ROWS_OF_PROBS.value, (kernels.LOG_PROBS if chosen is None else kernels.CHOSEN).value
        self._update(None, (result, chosen, last) if iterations == 0 else (probs, None, between))
        for iteration in range(1, iterations + 1):
            done = iteration == iterations
            self.bilateral.splat(probs, values)
            bilateral = self.bilateral.blur(values, spare)
            self._update((probs, bilateral), (result, chosen, last) if done else (others, None, between))
            probs, others = others, probs

    def _update(self, inputs: tuple[Tensor, Tensor] | None, output: tuple[Tensor, Tensor | None, int]) -> None:
        """Write the softmax of the unary term and both kernels' filtered probabilities.

        Args:
            inputs: the probabilities, and the bilateral lattice's values; None: none yet.
            output: where to, and in which of the kernels' forms.
        """
        lattice, classes = self.bilateral.lattice, self.unary.shape[1]
        result, chosen, form = output
        block = _block(self.height * _TILE, row_width(classes))
        wide = min(_TILE, block["ROWS"])
        tall = block["ROWS"] // wide
        probs, values = inputs or (self.unary, self.unary)
        tiles = -(-self.height // tall) * -(-self.width // wide)
        _triton_kernels().update[(tiles * self.photographs,)](
            self.unary,
            probs,
            self.stencil.shifts,
            self.stencil.weights,
            values,
            lattice.vertices,
            self.bilateral.slice_weights,
            lattice.vertices.shape[1],
            result,
            result if chosen is None else chosen,
            self.height * self.width,
            self.photographs,
            self.height,
            self.width,
            classes,
            OFFSETS=0 if inputs is None else len(self.stencil.shifts),
            BILATERAL=0 if inputs is None else len(lattice.vertices),
            OUTPUT=form,
            TALL=tall,
            WIDE=wide,
            **block,
        )
