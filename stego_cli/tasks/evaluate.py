"""A model against labelled photographs: its clusters, and its linear probe, each with and without CRF."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stego_cli.classes import TABLES
from stego_cli.datasets.about import read_about
from stego_cli.inference.predict import choose_refiner
from stego_cli.inference.session import Session
from stego_cli.progress import Progress
from stego_cli.scoring.evaluate import Evaluation, EvaluationPlan, evaluate_model, find_pairs
from stego_cli.scoring.protocol import SIDE, crop_side
from stego_cli.settings import EvaluateSettings, ExportSettings
from stego_cli.stop import NEVER, Stop, temporary_folder
from stego_cli.tasks.discover import train_for_data
from stego_cli.tasks.model_choice import model_for_data
from stego_cli.tasks.photographs import decide_reading
from stego_cli.text import shown


def evaluate(settings: EvaluateSettings, progress: Progress, stop: Stop = NEVER) -> Evaluation:
    """Score a model on one split of a data set, training one first if there is none.

    Raises:
        UsageError: settings make no sense, or the protocol needs a model that was exported with flip averaging.
        NoInputError: there is no such split, or no photograph of it can be used.
        ModelError: the model cannot be used.
        OutputError: a run that was trained cannot be kept.
        Stopped: a signal came.
    """
    with stop.at_once():  # nothing is kept of an evaluation
        return _evaluate(settings, progress, stop)


def _evaluate(settings: EvaluateSettings, progress: Progress, stop: Stop) -> Evaluation:
    refiner = choose_refiner(settings.crf, settings.crf_engine, False, progress.note)  # refining has processes
    about = read_about(settings.data)
    table = settings.classes or (about.table if about else None)
    known = [name for name, each in TABLES.items() if each == settings.classes]
    name = known[0] if known else about.name if about and settings.classes is None else ""
    pairs = find_pairs(settings.data, settings.split)  # before the model: exporting a run takes a while
    model = model_for_data(settings.model)
    if model is None:
        model = train_for_data(settings.data, progress, stop, settings.reading)
    elif settings.model is None:
        progress.note(f"Evaluating {shown(model)}.")
    with _model_file(model, settings.protocol == "stego", progress) as file:
        session = Session.from_file(file, settings.device)
        if settings.protocol == "stego" and (side := crop_side(session.info.patch)) != SIDE:
            progress.note(f"Crops are {side} x {side}: {SIDE} is not a multiple of this backbone's patch.")
        res = settings.res or session.info.res
        asked = settings.reading.with_model(session.info.bands, session.info.stretch)
        reading = decide_reading([photo for photo, _ in pairs], asked, progress)
        plan = EvaluationPlan(settings.data, name, settings.protocol, table, refiner, res, settings.workers, reading)
        return evaluate_model(session, pairs, plan, progress, stop)


@contextmanager
def _model_file(model: Path, flip: bool, progress: Progress) -> Iterator[Path]:
    """Give the model file: `model` itself, or a run exported for the time of the evaluation."""
    if not model.is_dir():
        yield model
        return
    from export import export_onnx

    with temporary_folder(Path(tempfile.gettempdir()), "stego-") as scratch:
        yield export_onnx(model, scratch / "model.onnx", ExportSettings(flip=flip), progress)
