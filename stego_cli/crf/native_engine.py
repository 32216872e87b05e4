"""The engine in C++ (folder `native`, which has a README): pydensecrf's lattice, laid out for the caches.

It releases the GIL, so that several threads can refine at the same time. Its result does not depend on the number of
threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stego_cli.settings import CrfSettings


def missing() -> str | None:
    """Return why this engine cannot be used here, or None."""
    try:
        from stego_cli.crf import _native  # noqa: F401
    except ImportError as error:
        return f"the package was installed without its native part ({error})"
    return None


def refine(
    images: NDArray[np.uint8],
    log_probs: NDArray[np.float32],
    settings: CrfSettings,
    threads: int,
    instructions: str = "",
) -> NDArray[np.float32]:
    """Refine a batch: see `Engine.refine`.

    Args:
        images: uint8 (B, H, W, 3), RGB.
        log_probs: float32 (B, K, H, W), finite.
        settings: kernels and iterations.
        threads: how many to use.
        instructions: one of `_native.instruction_sets()`; "" takes the fastest.

    Returns:
        float32 (B, K, H, W), log-probabilities.

    Raises:
        ValueError: the photograph has more than 100 megapixels, or a deviation is too small for its size.
    """
    from stego_cli.crf import _native

    out = np.empty(log_probs.shape, np.float32)
    kernels = (
        (settings.gaussian_sxy, 0.0, settings.gaussian_compat),
        (settings.bilateral_sxy, settings.bilateral_srgb, settings.bilateral_compat),
    )
    _native.refine(
        np.ascontiguousarray(images, np.uint8),
        np.ascontiguousarray(log_probs, np.float32),
        out,
        log_probs.shape,
        kernels,
        settings.iterations,
        threads,
        instructions,
    )
    return out
