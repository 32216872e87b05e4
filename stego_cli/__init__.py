"""Unsupervised semantic segmentation of folders of photographs (STEGO, arXiv 2203.08414).

    import stego_cli

    stego_cli.segment("photos", out="masks", classes=5)
    model = stego_cli.Model("masks/.stego/model.onnx")
    model.predict("photos/cat.jpg")            # shows itself in a notebook
    model.predict("photos/cat.jpg").labels     # uint8 (H, W), the pixels that `segment` wrote to masks/cat.png

Each function does what the command of its name does, with the same defaults; the flag `--crf-engine` is the keyword
`crf_engine`. Progress goes to standard error, or to the `progress` that is given; errors are those below `StegoError`,
with what to do about them in their text. No function handles signals or ends the process.

Names load what they need when they are first used: importing this module loads neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stego_cli.errors import (
    ModelError,
    NoInputError,
    OutputError,
    PhotoError,
    SourceError,
    StegoError,
    Stopped,
    UsageError,
    WeightsError,
)
from stego_cli.version import __version__

if TYPE_CHECKING:
    from stego_cli.api.evaluate import evaluate
    from stego_cli.api.export_onnx import export_onnx
    from stego_cli.api.model import Model
    from stego_cli.api.prepare import prepare
    from stego_cli.api.score import score
    from stego_cli.api.segment import segment
    from stego_cli.api.train import train

__all__ = [
    "Model",
    "ModelError",
    "NoInputError",
    "OutputError",
    "PhotoError",
    "SourceError",
    "StegoError",
    "Stopped",
    "UsageError",
    "WeightsError",
    "__version__",
    "evaluate",
    "export_onnx",
    "prepare",
    "score",
    "segment",
    "train",
]

if not TYPE_CHECKING:  # a type checker reads the imports above, and reports names that do not exist

    def __getattr__(name: str) -> object:
        """Load a name of the API when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"{__name__}.api.{name.lower()}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
