"""Photographs to a run folder with a trained head and its probes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stego_cli.datasets.layout import training_folders
from stego_cli.engines.table import engine
from stego_cli.errors import UsageError, setting
from stego_cli.images.discover import find_photos
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.reading import Reading, Walk
from stego_cli.settings import TrainSettings
from stego_cli.sources.draw import DRAWN, ENOUGH, Drawing, draw_parts
from stego_cli.sources.table import SUFFIXES, apart
from stego_cli.stop import NEVER, Stop, on_leave
from stego_cli.tasks.photographs import decide_reading, note_passed_over
from stego_cli.text import shown

if TYPE_CHECKING:
    from stego_cli.model.checkpoint import Checkpoint


@dataclass(frozen=True)
class TrainTask:
    """Which photographs a model is trained on, how, and into which folder.

    Attributes:
        photos: a folder of photographs, one photograph, or a data set with imgs/train.
        out: the run folder.
        training: how the head and the cluster probe are trained. If its `classes` is None, the data set's number of
            classes is taken, and without one the number is found on the photographs.
        prefer_data_classes: take the data set's number of classes even if `training` has one, such as a preset's.
        labels: a folder of labels (x/a.png for x/a.jpg) to train a linear probe on; None: the data set's labels/train,
            if it has one.
        resume: continue an interrupted run.
        overwrite: replace the run that is in `out`.
        tensorboard: write `out`/tensorboard during the run.
        reading: how pictures that are not RGB of 8 bits become that.
        walk: which files below `photos` are photographs.
        verbose: list every file that is passed over.
        parts: of rasters, stacks and videos, from which parts are drawn to train on.
        engine: a row of stego_cli.engines.table: where features are computed; `ray_address`: of a Ray cluster.
    """

    photos: Path
    out: Path
    training: TrainSettings = field(default_factory=TrainSettings)
    prefer_data_classes: bool = False
    labels: Path | None = None
    resume: bool = False
    overwrite: bool = False
    tensorboard: bool = False
    reading: Reading = Reading()
    walk: Walk = Walk()
    verbose: bool = False
    parts: PartSettings = PartSettings()
    engine: str = "local"
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError(f"{setting('ray_address')} is of a Ray cluster.", f"Give {setting('engine', 'ray')} too.")


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        out: the run folder.
        checkpoint: its content.
        failed: photographs that could not be decoded and folders that could not be listed, each with the reason.
        is_first_process: whether this is the only process or, of those that torchrun started, the one of rank 0.
    """

    out: Path
    checkpoint: Checkpoint
    failed: list[tuple[Path, str]]
    is_first_process: bool


def train(task: TrainTask, progress: Progress, stop: Stop = NEVER) -> TrainResult:
    """Train a head and a cluster probe on photographs and, where there are labels, a linear probe.

    Args:
        task: see TrainTask.
        progress: receives stages, notes, warnings and the metrics of each step.
        stop: on a signal the run ends between two steps, with a whole checkpoint and a state to resume from.

    Raises:
        UsageError: settings make no sense, or `out` holds a run that may not be replaced.
        NoInputError: there is no photograph, or none can be decoded.
        WeightsError: the backbone's weights cannot be fetched.
        OutputError: `out` cannot be written, or another run is writing to it.
        Stopped: a signal arrived.
    """
    engine(task.engine)
    folders = training_folders(task.photos, task.labels)
    settings = task.training
    known = len(folders.table.names) if folders.table is not None else 0
    if known > 1 and (settings.classes is None or task.prefer_data_classes):
        settings = replace(settings, classes=known)
    given = task.photos if task.photos.is_file() else folders.photos
    drawn = task.out / DRAWN
    with stop.at_once():
        found, notes = apart(find_photos(given, task.out, task.walk, SUFFIXES), task.photos.is_file())
        for note in notes:
            progress.note(note)
        note_passed_over(found, progress, task.verbose)
        for folder, reason in found.unreadable:
            progress.warn(f"The folder {shown(folder)} cannot be read: {reason}.")

        from stego_cli.training.ranks import is_first_process
        from stego_cli.training.run_folder import RunOptions, check_run_folder
        from stego_cli.training.train import train as train_on

        paths = [found.root / photo.path for photo in found.photos]
        reading = decide_reading([*paths, *(found.root / photo.path for photo in found.large)], task.reading, progress)
        options = RunOptions(
            task.resume, task.overwrite, task.tensorboard, reading, task.parts.res_ground, task.engine, task.ray_address
        )
    drawing = Drawing(found, reading, settings.res, task.parts)
    try:
        if found.large:
            check_run_folder(task.out, options)  # before anything is written into it
            with stop.at_once(), on_leave(lambda: shutil.rmtree(drawn, ignore_errors=True)):
                paths += draw_parts(drawing, drawn, ENOUGH, progress)
        trained = train_on(
            paths, task.out, settings, progress, stop, labels=folders if folders.labels else None, options=options
        )
    finally:
        if found.large and is_first_process():
            shutil.rmtree(drawn, ignore_errors=True)  # a run that is resumed draws the same again
    unreadable = [(found.root / folder, reason) for folder, reason in found.unreadable]
    return TrainResult(task.out, trained.checkpoint, [*unreadable, *trained.failed], is_first_process())
