"""A model for those who have none: trained on their photographs, in a folder that does not outlive the training."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stego_cli.errors import OutputError, Stopped
from stego_cli.images.atomic import DISCOVERY
from stego_cli.images.discover import Found
from stego_cli.progress import Progress
from stego_cli.settings import ExportSettings, TrainSettings
from stego_cli.stop import Stop
from stego_cli.text import shown

if TYPE_CHECKING:
    from stego_cli.datasets.layout import Folders

_ENOUGH = 500  # photographs; classes that recur in a tree show in an even sample of it


def discover_model(found: Found, target: Path, settings: TrainSettings, progress: Progress, stop: Stop) -> None:
    """Train on an even sample of the photographs and write the model file `target`.

    Raises:
        StegoError: whatever training and export raise; `target` then does not exist.
    """
    from export import export_onnx

    every = math.ceil(len(found.photos) / _ENOUGH)
    sample = [found.root / photo.path for photo in found.photos[::every]]
    progress.note(
        f"No model given: discovering classes in these photographs first"
        f"{f' (every {every}th, {len(sample)} in all)' if every > 1 else ''}."
    )
    with scratch_run(sample, target.parent, "discovering classes", settings, progress, stop) as run:
        export_onnx(run, target, ExportSettings(), progress)


def train_for_data(data: Path, progress: Progress, stop: Stop) -> Path:
    """Train on a data set's own photographs and return the run, which is kept in the current folder as DATA-run.

    Raises:
        StegoError: whatever training raises; there is no run then.
        OutputError: something else has its name.
    """
    from stego_cli.datasets.layout import training_folders
    from stego_cli.images.discover import find_photos

    run = Path(f"{data.absolute().name}-run")
    folders = training_folders(data, None)
    found = find_photos(folders.photos)
    progress.note(f"No model given: training one on {shown(folders.photos)} first, to be kept as {shown(run)}.")
    if run.exists():
        raise OutputError(f"{shown(run)} exists and is not a run.", "Name a model, or move it away.")
    classes = len(folders.table.names) if folders.table and len(folders.table.names) > 1 else None
    paths = [found.root / photo.path for photo in found.photos]
    labels = folders if folders.labels else None
    with scratch_run(paths, Path(), "training", TrainSettings(classes=classes), progress, stop, labels) as new:
        new.rename(run)
    return run


@contextmanager
def scratch_run(
    paths: list[Path],
    beside: Path,
    doing: str,
    settings: TrainSettings,
    progress: Progress,
    stop: Stop,
    labels: Folders | None = None,
) -> Iterator[Path]:
    """Train, and give the run for the time of the block: it is kept only if the block moves it.

    Args:
        paths: the photographs.
        beside: folder in which the run is made.
        doing: what this is, for the message of a stop.
        settings: of the training.
        progress: of the training.
        stop: ends the training.
        labels: for a linear probe.

    Raises:
        Stopped: a signal came, in training or in the block.
        StegoError: whatever training raises.
    """
    from stego_cli.training.train import train

    with tempfile.TemporaryDirectory(dir=beside, prefix=DISCOVERY) as scratch:
        run = Path(scratch) / "run"
        try:
            train(paths, run, settings, progress, stop, labels)
            stop.check()
            yield run
        except Stopped as error:  # training's own message speaks of a run to resume, and this one is deleted
            raise Stopped(
                error.exit_code, f"Stopped while {doing}.", "Nothing of that is kept; the same again begins with it."
            ) from error
