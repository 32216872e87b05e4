"""The engine around pydensecrf: Krähenbühl and Koltun's permutohedral lattice in C++ (arXiv 1210.5644)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stego_cli.settings import CrfSettings

_SMALLEST = 1e-30  # keeps the logarithm of a probability that underflowed finite


def refine(image: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings) -> NDArray[np.float32]:
    """See `stego_cli.crf.refine`."""
    from pydensecrf import densecrf

    classes, height, width = log_probs.shape
    field = densecrf.DenseCRF2D(width, height, classes)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probs.reshape(classes, -1), dtype=np.float32))
    field.addPairwiseGaussian(sxy=settings.gaussian_sxy, compat=settings.gaussian_compat)
    # The lattice only approximates a kernel that is the same for all channels, so their order shows in the last
    # digits; BGR is that of the published evaluation.
    field.addPairwiseBilateral(
        sxy=settings.bilateral_sxy,
        srgb=settings.bilateral_srgb,
        rgbim=np.ascontiguousarray(image[:, :, ::-1]),
        compat=settings.bilateral_compat,
    )
    refined = np.asarray(field.inference(settings.iterations), dtype=np.float32)
    return np.log(np.maximum(refined, _SMALLEST)).reshape(classes, height, width)
