"""One function, several engines with equal results (mean-field inference in a dense CRF, arXiv 1210.5644)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

_NARROWEST = 0.2  # pixels; a narrower Gaussian joins no pixel to another, and the lattice of it would be mostly empty


@dataclass(frozen=True)
class Engine:
    """One way to compute the same thing.

    Attributes:
        module: has `missing()` and `refine(images, log_probs, settings, threads)`; imported when it is used.
        threads: whether several threads of one process can refine at once.
        remedy: how to get it.
    """

    module: str
    threads: bool
    remedy: str


ENGINES = {
    "cuda": Engine("cuda_engine", True, "It needs an NVIDIA GPU, torch with CUDA, and triton."),
    "cpu": Engine("native_engine", True, "Install a wheel, or a C++20 compiler before installing from source."),
    "torch": Engine("torch_engine", True, "Install torch."),
    "pydensecrf": Engine("pydensecrf_engine", False, "`pip install 'stego-cli[pydensecrf]'` on Python 3.11 or 3.12."),
}
_AUTO = ("cpu", "torch")  # what "auto" takes, the best first
CHOICES = ("auto", *ENGINES)


def choose_engine(name: str, on_gpu: bool = False) -> tuple[str, str]:
    """Return the engine to use and, in words, why; `on_gpu` says that the network runs on an NVIDIA GPU.

    Raises:
        UsageError: there is no such engine, or it cannot be used here.
    """
    if name == "auto":
        reasons: list[str] = []
        for candidate in ("cuda", *_AUTO) if on_gpu else _AUTO:
            reason = _missing(candidate)
            if reason is None:
                return candidate, "; ".join([*reasons, "chosen by itself"])
            reasons.append(f"not {candidate}: {reason}")
        raise UsageError(f"There is no CRF engine: {'; '.join(reasons)}.", "Give --no-crf.")
    if name not in ENGINES:
        raise UsageError(f"There is no CRF engine {name!r}.", "Choose one of " + ", ".join(CHOICES) + ".")
    reason = _missing(name)
    if reason is not None:
        raise UsageError(f"--crf-engine {name}: {reason}.", ENGINES[name].remedy)
    return name, "asked for"


def refine(
    image: NDArray[np.uint8],
    log_probs: NDArray[np.float32],
    settings: CrfSettings,
    engine: str = "auto",
    threads: int = 1,
) -> NDArray[np.float32]:
    """Refine log-probabilities by mean-field inference in a dense CRF.

    One class, or no iteration, changes nothing. A constant image, a single pixel and 256 classes are cases like any.

    Args:
        image: uint8 (H, W, 3), RGB, or (B, H, W, 3) for B photographs of one size.
        log_probs: float32 (K, H, W) or (B, K, H, W), finite; 1 to 256 classes.
        settings: kernels and iterations.
        engine: one of CHOICES.
        threads: how many the engine may use (native engine only; torch has its own setting).

    Returns:
        float32 of the shape of `log_probs`, log-probabilities of at least log(1e-30).

    Raises:
        UsageError: there is no such engine, or it cannot be used here.
        ValueError: shapes do not fit, a value is not finite, or a deviation is too small.
    """
    name, _ = choose_engine(engine)
    batched = log_probs.ndim == 4
    images, values = (image, log_probs) if batched else (image[None], log_probs[None])
    if values.ndim != 4 or images.shape != (len(values), *values.shape[2:], 3) or 0 in values.shape:
        raise ValueError(f"image {image.shape} does not fit log-probabilities {log_probs.shape}")
    if values.shape[1] > 256:
        raise ValueError(f"{values.shape[1]} classes are more than 256")
    if not np.isfinite(values).all():
        raise ValueError("log-probabilities must be finite")
    if min(settings.gaussian_sxy, settings.bilateral_sxy, settings.bilateral_srgb) < _NARROWEST:
        raise ValueError(f"deviations must be at least {_NARROWEST}")
    if values.shape[1] == 1 or settings.iterations == 0:
        return log_probs
    refined: NDArray[np.float32] = _module(name).refine(images, values, settings, threads)
    return refined if batched else refined[0]


def _module(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  # modules have no type of their own
    return importlib.import_module(f"stego_cli.crf.{ENGINES[name].module}")


def _missing(name: str) -> str | None:
    try:
        reason: str | None = _module(name).missing()
    except (ImportError, OSError) as error:  # torch is not there, or its libraries are not
        reason = f"it cannot be loaded ({str(error).splitlines()[0]})"
    return reason
