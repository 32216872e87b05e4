"""Which model is used where none is named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import UsageError
from stego_cli.images.discover import STATE

DEFAULT_MODEL = Path("stego.onnx")  # what `stego export-onnx` writes


@dataclass(frozen=True)
class ModelChoice:
    """The model for a folder of masks.

    Attributes:
        file: of a model that exists; None: one has to be discovered.
        discovered: the place of a model that is discovered in these photographs.
    """

    file: Path | None
    discovered: Path

    @property
    def was_discovered(self) -> bool:
        """Whether it was discovered by an earlier run for the same masks."""
        return self.file is not None and self.discovered.is_file() and self.file.resolve() == self.discovered.resolve()


def model_for_masks(model: Path | None, out: Path, overwrite: bool) -> ModelChoice:
    """Return the model that is named, else one discovered for these masks before, else ./stego.onnx, else none.

    With `overwrite` all masks are made again, and a model that was discovered before is forgotten with them.
    """
    discovered = out / STATE / "model.onnx"
    if model is not None:
        return ModelChoice(model, discovered)
    if discovered.is_file() and not overwrite:
        return ModelChoice(discovered, discovered)
    return ModelChoice(DEFAULT_MODEL if DEFAULT_MODEL.is_file() else None, discovered)


def model_for_data(model: Path | None) -> Path | None:
    """Return the run or model file to evaluate: that which is named, else the newest run here, else ./stego.onnx."""
    if model is not None:
        return model
    from stego_cli.model.checkpoint import newest_run  # loads torch, which a model file does not need

    try:
        return newest_run(Path())
    except UsageError:
        return DEFAULT_MODEL if DEFAULT_MODEL.is_file() else None
