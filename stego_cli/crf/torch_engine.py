"""The dense CRF in plain torch, on any device: the readable reference of what the other engines compute.

Mean-field inference (Krähenbühl and Koltun, arXiv 1210.5644, algorithm 1) with a Gaussian and a bilateral kernel, Potts
compatibility and symmetric normalisation. With unary log-probabilities U and the kernels' filters G_m:

    Q <- softmax(U + sum over m of compat_m * n_m * G_m(n_m * Q)),   n_m = 1 / sqrt(G_m(1)),   first Q = softmax(U)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.crf import lattice
from stego_cli.crf.lattice import Lattice
from stego_cli.settings import CrfSettings

SMALLEST = 1e-30  # keeps the logarithm of a probability that underflowed finite
NORM_FLOOR = 1e-20  # as pydensecrf has it


def missing() -> str | None:
    """Return why this engine cannot be used here: never, since torch is there to import it."""
    return None


def refine(
    images: NDArray[np.uint8],
    log_probs: NDArray[np.float32],
    settings: CrfSettings,
    threads: int = 1,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Refine a batch of photographs; `threads` is ignored, since torch's number of threads belongs to the process.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite.
        settings: kernels and iterations.
        threads: ignored.
        device: of torch, as "cpu", "cuda" or "mps".

    Returns:
        float32 (B, K, H, W), log-probabilities.
    """
    refined = [
        _refine_one(torch.tensor(image, device=device), torch.tensor(planes, device=device), settings).cpu().numpy()
        for image, planes in zip(images, log_probs, strict=True)
    ]
    return np.stack(refined) if refined else np.empty_like(log_probs)


@torch.inference_mode()
def _refine_one(image: Tensor, log_probs: Tensor, settings: CrfSettings) -> Tensor:
    """Refine (K, H, W) log-probabilities of a (H, W, 3) photograph."""
    classes, height, width = log_probs.shape
    spatial = lattice.spatial_features(height, width, settings.gaussian_sxy, image.device)
    bilateral = lattice.bilateral_features(image[None], settings.bilateral_sxy, settings.bilateral_srgb)
    kernels = [
        (settings.gaussian_compat, lattice.build(spatial)),
        (settings.bilateral_compat, lattice.build(bilateral)),
    ]
    norms = [_norm(grid) for _, grid in kernels]
    unary = log_probs.reshape(classes, -1).T.contiguous()  # (P, K): a pixel's classes side by side
    probs = torch.softmax(unary, 1)
    for _ in range(settings.iterations):
        energy = unary.clone()
        for (compat, grid), norm in zip(kernels, norms, strict=True):
            energy += (compat * norm) * filtered(grid, norm * probs)
        probs = torch.softmax(energy, 1)
    return probs.clamp(min=SMALLEST).log().T.reshape(classes, height, width)


def filtered(grid: Lattice, values: Tensor) -> Tensor:
    """Filter float32 (P, C) values of pixels with the lattice's Gaussian: splat, blur along each axis, slice."""
    corners = list(zip(grid.vertices, grid.weights[:, :, None], strict=True))
    blurred = values.new_zeros(grid.count + 1, values.shape[1])  # the last row stands for vertices that do not exist
    for vertices, weights in corners:
        blurred.index_add_(0, vertices, values * weights)
    for following, previous in grid.neighbours[:, :, : grid.count]:
        around = blurred.index_select(0, following) + blurred.index_select(0, previous)
        blurred[:-1] += 0.5 * around
    sliced = torch.zeros_like(values)
    for vertices, weights in corners:
        sliced += weights * blurred.index_select(0, vertices)
    return sliced * grid.alpha


def _norm(grid: Lattice) -> Tensor:
    """Return n = 1 / sqrt(G(1)) of each pixel, (P, 1)."""
    ones = grid.weights.new_ones(grid.weights.shape[1], 1)
    return torch.rsqrt(filtered(grid, ones) + NORM_FLOOR)
