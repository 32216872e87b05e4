"""The CRF's engines: a table of modules that compute the same (mean-field inference in a dense CRF, arXiv 1210.5644).

`resolve_engine` picks a row once; `Engine.refine` then does the work for every photograph. Nothing heavy is imported
before that, so that a command line can list the choices.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from stego_cli.errors import UsageError, setting
from stego_cli.settings import CrfSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NARROWEST = 0.2  # pixels; a narrower Gaussian joins no pixel to another, and the lattice of it would be mostly empty


class _Module(Protocol):
    """What the module of an engine offers."""

    def missing(self) -> str | None:
        """Return why the engine cannot be used here, or None."""

    def refine(
        self, images: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, threads: int
    ) -> NDArray[np.float32]:
        """Refine uint8 (B, H, W, 3) and float32 (B, K, H, W) that have been checked."""


@dataclass(frozen=True)
class Engine:
    """One way to refine. Its results equal the others' up to rounding. It can be pickled.

    Attributes:
        name: as users choose it.
        module: of this package: has `missing` and `refine`; imported when it is first used.
        releases_gil: whether several threads of one process refine at the same time; else it takes processes.
        remedy: how to install it.
    """

    name: str
    module: str
    releases_gil: bool
    remedy: str

    def missing(self) -> str | None:
        """Return why this engine cannot be used here, or None."""
        try:
            return self._load().missing()
        except (ImportError, OSError) as error:  # torch is not installed, or one of its libraries is not
            return f"it cannot be loaded ({str(error).splitlines()[0]})"

    def refine(
        self, image: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings, threads: int = 1
    ) -> NDArray[np.float32]:
        """Refine log-probabilities by mean-field inference in a dense CRF.

        One class, or no iteration, changes nothing. A constant image, a single pixel and 256 classes are valid input.

        Args:
            image: uint8 (H, W, 3), RGB, or (B, H, W, 3) for B photographs of one size.
            log_probs: float32 (K, H, W) or (B, K, H, W), finite; 1 to 256 classes.
            settings: kernels and iterations.
            threads: how many the engine may use (native engine only; torch has its own setting).

        Returns:
            float32 of the shape of `log_probs`, log-probabilities of at least log(1e-30).

        Raises:
            ValueError: shapes do not fit, a value is not finite, or a deviation is too small.
        """
        batched = log_probs.ndim == 4
        images, values = (image, log_probs) if batched else (image[None], log_probs[None])
        _check(images, values, settings)
        if values.shape[1] == 1 or settings.iterations == 0:
            return log_probs
        refined = self._load().refine(images, values, settings, threads)
        return refined if batched else refined[0]

    def _load(self) -> _Module:
        return cast("_Module", importlib.import_module(f"stego_cli.crf.{self.module}"))


_ROWS = (
    Engine("cuda", "cuda_engine", True, "It needs an NVIDIA GPU, torch with CUDA, and triton."),
    Engine("cpu", "native_engine", True, "Install a wheel, or a C++20 compiler before installing from source."),
    Engine("torch", "torch_engine", True, "Install torch."),
    Engine("pydensecrf", "pydensecrf_engine", False, "`pip install 'stego-cli[pydensecrf]'` on Python 3.11 or 3.12."),
)
ENGINES = {row.name: row for row in _ROWS}
AUTO, AUTO_ON_GPU = ("cpu", "torch"), ("cuda", "cpu", "torch")  # what "auto" tries, the fastest first
CHOICES = ("auto", *ENGINES)


def resolve_engine(name: str, on_gpu: bool = False, note: Callable[[str], None] | None = None) -> Engine:
    """Return the engine of this name, after checking that it can be used here.

    Args:
        name: one of CHOICES; "auto" takes the fastest that can be used.
        on_gpu: whether the network runs on an NVIDIA GPU.
        note: called with a sentence where "auto" has to take another engine than the fastest.

    Raises:
        UsageError: there is no such engine, or it cannot be used here.
    """
    if name == "auto":
        return _fastest(AUTO_ON_GPU if on_gpu else AUTO, note)
    if name not in ENGINES:
        raise UsageError(
            f"there is no CRF engine {name!r}.", f"Choose one of {', '.join(CHOICES)}.", field="crf_engine"
        )
    engine = ENGINES[name]
    if reason := engine.missing():
        raise UsageError(f"{name!r} cannot be used: {reason}.", engine.remedy, field="crf_engine")
    return engine


def refine(
    image: NDArray[np.uint8],
    log_probs: NDArray[np.float32],
    settings: CrfSettings,
    engine: str = "auto",
    threads: int = 1,
) -> NDArray[np.float32]:
    """Resolve an engine and refine with it: see `resolve_engine` and `Engine.refine`, which raise what this raises."""
    return resolve_engine(engine).refine(image, log_probs, settings, threads)


def _fastest(names: tuple[str, ...], note: Callable[[str], None] | None) -> Engine:
    reasons: list[str] = []
    for name in names:
        reason = ENGINES[name].missing()
        if reason is None:
            if reasons and note is not None:
                note(f"CRF engine {name} ({'; '.join(reasons)}).")
            return ENGINES[name]
        reasons.append(f"not {name}: {reason}")
    raise UsageError(f"There is no CRF engine: {'; '.join(reasons)}.", f"Give {setting('crf', False)}.")


def _check(images: NDArray[np.uint8], log_probs: NDArray[np.float32], settings: CrfSettings) -> None:
    import numpy as np

    if log_probs.ndim != 4 or images.shape != (len(log_probs), *log_probs.shape[2:], 3) or 0 in log_probs.shape:
        raise ValueError(f"image {images.shape} does not fit log-probabilities {log_probs.shape}")
    if log_probs.shape[1] > 256:
        raise ValueError(f"{log_probs.shape[1]} classes are more than 256")
    if not np.isfinite(log_probs).all():
        raise ValueError("log-probabilities must be finite")
    if min(settings.gaussian_sxy, settings.bilateral_sxy, settings.bilateral_srgb) < _NARROWEST:
        raise ValueError(f"deviations must be at least {_NARROWEST}")
