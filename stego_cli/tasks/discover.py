"""A model for those who have none: trained on their photographs, in a folder that does not outlive the training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stego_cli.errors import NoInputError, OutputError, Stopped
from stego_cli.images.atomic import DISCOVERY
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.settings import ExportSettings, TrainSettings
from stego_cli.sources.draw import DRAWN, ENOUGH, Drawing, draw_parts
from stego_cli.stop import Stop, temporary_folder
from stego_cli.tasks.train import TrainTask, train
from stego_cli.text import shown


def discover_model(drawing: Drawing, target: Path, settings: TrainSettings, progress: Progress, stop: Stop) -> None:
    """Train on an even sample of the photographs and write the model file `target`.

    Raises:
        NoInputError: no part of a larger file could be drawn, and there is no photograph.
        StegoError: whatever training and export raise; `target` then does not exist.
    """
    from export import export_onnx
    from stego_cli.training.run_folder import RunOptions
    from stego_cli.training.train import train as train_on

    found = drawing.found
    every = max(1, math.ceil(len(found.photos) / ENOUGH))
    sample = [found.root / photo.path for photo in found.photos[::every]]
    progress.note(
        f"No model given: discovering classes in these photographs first"
        f"{f' (every {every}th, {len(sample)} in all)' if every > 1 else ''}."
    )
    with _scratch_run(target.parent, "discovering classes") as run:
        sample += draw_parts(drawing, run.with_name(DRAWN), ENOUGH, progress)
        if not sample:
            raise NoInputError("There is no photograph, and no part of a larger file, to discover classes in.")
        train_on(
            sample,
            run,
            settings,
            progress,
            stop,
            options=RunOptions(reading=drawing.reading, res_ground=drawing.parts.res_ground),
        )
        stop.check()
        export_onnx(run, target, ExportSettings(), progress)


def train_for_data(data: Path, progress: Progress, stop: Stop, reading: Reading = Reading()) -> Path:
    """Train on a data set's own photographs and return the run, which is kept in the current folder as DATA-run.

    Raises:
        StegoError: whatever training raises; there is no run then.
        OutputError: something else has its name.
    """
    run = Path(f"{data.absolute().name}-run")
    progress.note(f"No model given: training one on {shown(data)} first, to be kept as {shown(run)}.")
    if run.exists():
        raise OutputError(f"{shown(run)} exists and is not a run.", "Name a model, or move it away.")
    with _scratch_run(Path(), "training") as new:
        train(TrainTask(data, new, reading=reading), progress, stop)
        stop.check()
        new.rename(run)
    return run


@contextmanager
def _scratch_run(beside: Path, doing: str) -> Iterator[Path]:
    """Give a path for a run that is deleted at the end of the block, unless the block moves it.

    Args:
        beside: folder in which the run is made.
        doing: what the block does, for the message of a stop in it.

    Raises:
        Stopped: a signal came.
    """
    with temporary_folder(beside, DISCOVERY) as scratch:
        try:
            yield scratch / "run"
        except Stopped as error:  # training's own message speaks of a run to resume, and this one is deleted
            raise Stopped(
                error.exit_code, f"Stopped while {doing}.", "Nothing of that is kept: the same command begins it again."
            ) from error
