"""One function, several engines with equal results."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stego_cli.crf import pydensecrf_engine
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

Engine = Callable[[NDArray[np.uint8], NDArray[np.float32], CrfSettings], NDArray[np.float32]]
ENGINES: dict[str, Engine] = {"pydensecrf": pydensecrf_engine.refine}


def refine(
    image: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, engine: str = "pydensecrf"
) -> NDArray[np.float32]:
    """Refine one photograph's log-probabilities by mean-field inference in a dense CRF.

    Args:
        image: uint8 (H, W, 3), RGB.
        log_probs: float32 (K, H, W), finite; K at least 1.
        settings: kernels and iterations.
        engine: a key of ENGINES.

    Returns:
        float32 (K, H, W), log-probabilities.

    Raises:
        UsageError: there is no such engine.
        ValueError: shapes do not fit, or a value is not finite.
    """
    if engine not in ENGINES:
        raise UsageError(f"There is no CRF engine {engine!r}.", "Choose one of " + ", ".join(ENGINES) + ".")
    if image.shape != (*log_probs.shape[1:], 3):
        raise ValueError(f"image {image.shape} does not fit log-probabilities {log_probs.shape}")
    if not np.isfinite(log_probs).all():
        raise ValueError("log-probabilities must be finite")
    if log_probs.shape[0] == 1 or settings.iterations == 0:
        return log_probs
    return ENGINES[engine](image, log_probs, settings)
