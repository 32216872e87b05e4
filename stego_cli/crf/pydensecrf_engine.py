"""The engine around pydensecrf, Krähenbühl and Koltun's own code (arXiv 1210.5644): the reference for the others."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from stego_cli.settings import CrfSettings

_LEAST = 1e-30  # a probability that underflowed to 0 would have an infinite logarithm


def missing() -> str | None:
    """Return why this engine cannot be used here, or None."""
    return None if importlib.util.find_spec("pydensecrf") else "pydensecrf2 is not installed"


def refine(
    images: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, threads: int
) -> NDArray[np.float32]:
    """Refine a batch: see `Engine.refine`. It holds the GIL and uses one thread, whatever `threads` is."""
    return np.stack([refine_one(image, values, settings) for image, values in zip(images, log_probs, strict=True)])


def refine_one(image: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings) -> NDArray[np.float32]:
    """Refine one photograph, uint8 (H, W, 3), with log-probabilities, float32 (K, H, W)."""
    from pydensecrf import densecrf

    classes, height, width = log_probs.shape
    field = densecrf.DenseCRF2D(width, height, classes)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probs.reshape(classes, -1), dtype=np.float32))
    field.addPairwiseGaussian(sxy=settings.gaussian_sxy, compat=settings.gaussian_compat)
    # The lattice approximates the kernel, and its error depends on the order of the channels. BGR is the order of the
    # published evaluation.
    field.addPairwiseBilateral(
        sxy=settings.bilateral_sxy,
        srgb=settings.bilateral_srgb,
        rgbim=np.ascontiguousarray(image[:, :, ::-1]),
        compat=settings.bilateral_compat,
    )
    refined = np.asarray(field.inference(settings.iterations), dtype=np.float32)
    return np.log(np.maximum(refined, _LEAST)).reshape(classes, height, width)
