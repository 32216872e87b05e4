"""A model for photographs that came without one: train on them, export, keep the file."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from export.model_file import export_onnx
from stego_cli.errors import Stopped
from stego_cli.images.atomic import DISCOVERY
from stego_cli.images.discover import Found
from stego_cli.progress import Progress
from stego_cli.settings import ExportSettings, TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.train import train

_ENOUGH = 500  # photographs; classes that recur in a tree show in an even sample of it


def discover_model(found: Found, target: Path, settings: TrainSettings, progress: Progress, stop: Stop) -> None:
    """Train on an even sample of the photographs and write the model file `target`.

    Raises:
        StegoError: whatever training and export raise; `target` then does not exist.
    """
    every = math.ceil(len(found.photos) / _ENOUGH)
    sample = [found.root / photo.path for photo in found.photos[::every]]
    progress.note(
        f"No model given: discovering classes in these photographs first"
        f"{f' (every {every}th, {len(sample)} in all)' if every > 1 else ''}."
    )
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=DISCOVERY) as scratch:
        run = Path(scratch)
        try:
            train(sample, run, settings, progress, stop)
            stop.check()
            export_onnx(run, target, ExportSettings(), progress)
        except Stopped as error:  # training would speak of a run to resume, and this one goes with its folder
            raise Stopped(
                error.exit_code, "Stopped while discovering classes.", "The same command begins with that again."
            ) from error
