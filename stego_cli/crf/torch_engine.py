"""The dense CRF in plain torch, on any device: a readable form of what the other engines compute.

Mean-field inference (Krähenbühl and Koltun, arXiv 1210.5644, algorithm 1) with a Gaussian and a bilateral kernel, Potts
compatibility and symmetric normalisation. With unary log-probabilities U and the kernels' filters G_m:

    Q <- softmax(U + sum over m of compat_m * n_m * G_m(n_m * Q)),   n_m = 1 / sqrt(G_m(1)),   first Q = softmax(U)
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.crf.lattice import Lattice, bilateral_features, build_lattice, spatial_features
from stego_cli.settings import CrfSettings

NORM_FLOOR = 1e-20  # added before the root, as in pydensecrf
_LEAST = 1e-30  # a probability that underflowed to 0 would have an infinite logarithm


def missing() -> str | None:
    """Return None: where torch can be imported, this engine can be used."""
    return None


def refine(
    images: NDArray[np.uint8],
    log_probs: NDArray[np.float32],
    settings: CrfSettings,
    threads: int = 1,
    device: str = "cpu",
) -> NDArray[np.float32]:
    """Refine a batch of photographs.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite.
        settings: kernels and iterations.
        threads: ignored, since torch has one number of threads for the whole process.
        device: of torch, such as "cpu", "cuda" or "mps".

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
    """Return refined log-probabilities (K, H, W) of a photograph (H, W, 3)."""
    classes, height, width = log_probs.shape
    spatial = spatial_features(height, width, settings.gaussian_sxy, image.device)
    bilateral = bilateral_features(image[None], settings.bilateral_sxy, settings.bilateral_srgb)
    kernels = [
        (settings.gaussian_compat, build_lattice(spatial)),
        (settings.bilateral_compat, build_lattice(bilateral)),
    ]
    norms = [_norm(lattice) for _, lattice in kernels]
    unary = log_probs.reshape(classes, -1).T.contiguous()  # (P, K)
    probs = torch.softmax(unary, 1)
    for _ in range(settings.iterations):
        energy = unary.clone()
        for (compat, lattice), norm in zip(kernels, norms, strict=True):
            energy += (compat * norm) * filtered(lattice, norm * probs)
        probs = torch.softmax(energy, 1)
    return probs.clamp(min=_LEAST).log().T.reshape(classes, height, width)


def filtered(lattice: Lattice, values: Tensor) -> Tensor:
    """Filter float32 (P, C) values of pixels with the lattice's Gaussian: splat, blur along each axis, slice."""
    corners = list(zip(lattice.vertices, lattice.weights[:, :, None], strict=True))
    blurred = values.new_zeros(lattice.count + 1, values.shape[1])  # the last row: vertices that do not exist
    for vertices, weights in corners:
        blurred.index_add_(0, vertices, values * weights)
    for following, previous in lattice.neighbours[:, :, : lattice.count]:
        around = blurred.index_select(0, following) + blurred.index_select(0, previous)
        blurred[:-1] += 0.5 * around
    sliced = torch.zeros_like(values)
    for vertices, weights in corners:
        sliced += weights * blurred.index_select(0, vertices)
    return sliced * lattice.alpha


def _norm(lattice: Lattice) -> Tensor:
    """Return n = 1 / sqrt(G(1)) of each pixel, (P, 1)."""
    ones = lattice.weights.new_ones(lattice.weights.shape[1], 1)
    return torch.rsqrt(filtered(lattice, ones) + NORM_FLOOR)
