"""`stego evaluate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import ClassesOption, CrfEngineOption, WorkersOption, chosen_engine

if TYPE_CHECKING:
    from stego_cli.scoring.evaluate import Evaluation
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

HELP = """Evaluate a model on a labelled data set: cluster and linear probe, each with and without CRF.

DATA has DATA/imgs/SPLIT with photographs and DATA/labels/SPLIT with PNGs of class numbers, 255 for void.
`--protocol stego` is the paper's: shorter side to 320 by the nearest pixel, centre crop, flip-averaged code, one
matching over the set. `--protocol full` scores whole pictures at their own size, as `stego segment` writes them.

The model is --model, else the newest run here, else ./stego.onnx, else one that is trained on DATA/imgs/train first and
kept as DATA-run. A data set that `stego prepare` made names its classes itself.

\b
Examples:
  stego evaluate ./voc
  stego evaluate ./camvid --model ./run --classes 11
  stego evaluate ./cocostuff --model ./imported
  stego evaluate ./camvid --model stego.onnx --protocol full --no-crf --json figures.json
"""


def command(
    data: Annotated[Path, typer.Argument(help="A data set with imgs/SPLIT and labels/SPLIT.", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="A run folder, or a file of `stego export-onnx`.", show_default="see above"),
    ] = None,
    split: Annotated[str, typer.Option(help="Name of the split.")] = "val",
    protocol: Annotated[str, typer.Option(help="stego or full.")] = "stego",
    classes: ClassesOption = None,
    crf: Annotated[bool, typer.Option("--crf/--no-crf", help="Also score after the dense CRF.")] = True,
    crf_engine: CrfEngineOption = "auto",
    res: Annotated[
        int | None, typer.Option(min=16, help="Shorter side with --protocol full.", show_default="the model's own")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or tensorrt:N.")] = "auto",
    workers: WorkersOption = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every score as JSON; - for standard output.")
    ] = None,
) -> None:
    """Evaluate a model."""
    from stego_cli.class_files import parse_classes
    from stego_cli.datasets.about import read_about
    from stego_cli.images.atomic import require_writable_files
    from stego_cli.inference.session import Session
    from stego_cli.scoring.evaluate import EvaluateSettings, evaluate, find_pairs
    from stego_cli.scoring.protocol import SIDE, crop_side
    from stego_cli.settings import CrfSettings
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

    ui = Ui()
    if crf:
        crf_engine = chosen_engine(crf_engine, ui)
    about = read_about(data)
    settings = EvaluateSettings(
        data=data,
        split=split,
        protocol=protocol,
        table=parse_classes(classes) if classes else about.table if about else None,
        crf=CrfSettings() if crf else None,
        crf_engine=crf_engine,
        res=res,
        workers=workers,
    )
    require_writable_files(json_file)
    pairs = find_pairs(settings)  # before the model: exporting a run takes a while
    with Stop() as stop, _model_file(model or _default_model(data, ui, stop), protocol == "stego", ui) as file:
        session = Session.from_file(file, device)
        if protocol == "stego" and (side := crop_side(session.info.patch)) != SIDE:
            ui.note(f"Crops are {side} x {side}: {SIDE} is not a multiple of this backbone's patch.")
        result = evaluate(session, pairs, settings, ui, stop)
    _show(result, classes or (about.name if about else ""), session.info.backbone, ui, out=str(json_file) != "-")
    if json_file is not None:
        _write_json(result, json_file)
    if result.failures:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _default_model(data: Path, ui: Ui, stop: Stop) -> Path:
    """Return the model to evaluate where none was named, training one if there is none."""
    from stego_cli.errors import UsageError
    from stego_cli.model.checkpoint import newest_run
    from stego_cli.text import shown

    try:
        model = newest_run(Path())
    except UsageError:
        model = Path("stego.onnx")
    if not model.exists():
        return _trained(data, ui, stop)
    ui.note(f"Evaluating {shown(model)} (choose with --model).")
    return model


def _trained(data: Path, ui: Ui, stop: Stop) -> Path:
    """Train on the data set's own photographs and return the run."""
    import tempfile

    from stego_cli.datasets.layout import training_folders
    from stego_cli.errors import OutputError, Stopped
    from stego_cli.images.atomic import DISCOVERY
    from stego_cli.images.discover import find_photos
    from stego_cli.settings import TrainSettings
    from stego_cli.text import shown
    from stego_cli.training.train import train

    run = Path(f"{data.absolute().name}-run")
    folders = training_folders(data, None)
    found = find_photos(folders.photos)
    ui.note(f"No model given: training one on {shown(folders.photos)} first, to be kept as {shown(run)}.")
    classes = len(folders.table.names) if folders.table and len(folders.table.names) > 1 else None
    if run.exists():
        raise OutputError(f"{shown(run)} is there and is no run.", "Give --model, or move it away.")
    with tempfile.TemporaryDirectory(dir=Path(), prefix=DISCOVERY) as scratch:
        paths = [found.root / photo.path for photo in found.photos]
        new = Path(scratch) / "run"
        try:
            train(paths, new, TrainSettings(classes=classes), ui, stop, folders if folders.labels else None)
            stop.check()
        except Stopped as error:  # training would speak of a run to resume, and this one goes with its folder
            raise Stopped(
                error.exit_code, "Stopped while training.", "The same command begins with that again."
            ) from error
        new.rename(run)
    return run


@contextmanager
def _model_file(model: Path, flip: bool, ui: Ui) -> Iterator[Path]:
    """Give the model file: `model` itself, or a run exported for the time of the evaluation."""
    if not model.is_dir():
        yield model
        return
    import tempfile

    from export import export_onnx
    from stego_cli.settings import ExportSettings

    with tempfile.TemporaryDirectory(prefix="stego-") as scratch:
        yield export_onnx(model, Path(scratch) / "model.onnx", ExportSettings(flip=flip), ui)


def _show(result: Evaluation, name: str, backbone: str, ui: Ui, out: bool) -> None:
    from stego_cli.scoring.published import PUBLISHED
    from stego_cli.text import number

    rows = [
        (f"this model ({backbone})", probe, "yes" if crf else "no", number(score.accuracy), number(score.miou))
        for (probe, crf), score in result.scores.items()
    ]
    rows += [
        (
            f"{row.method}{f' ({row.backbone})' if row.backbone else ''}, published",
            row.probe,
            "as published",
            "" if row.accuracy is None else f"{row.accuracy:.1f}",
            f"{row.miou:.1f}",
        )
        for row in PUBLISHED.get(name, ())
    ]
    first = next(iter(result.scores.values()))
    ui.table(f"{first.images} photographs", ("", "probe", "CRF", "accuracy", "mIoU"), rows, out=out)
    if first.unmatched_pixels:
        kept = "left out, as the original does" if first.mode == "stego" else "counted as wrong"
        ui.note(f"{first.unmatched_pixels} labelled pixels fell on clusters without a class; they were {kept}.")
    for path, reason in result.failures:
        ui.line(f"failed: {path}: {reason}", style="red")


def _write_json(result: Evaluation, file: Path) -> None:
    import json

    from stego_cli.images.atomic import write_bytes
    from stego_cli.scoring.result import as_json
    from stego_cli.ui import write_line

    content = {
        f"{probe}{'_crf' if crf else ''}": json.loads(as_json(score)) for (probe, crf), score in result.scores.items()
    }
    if str(file) == "-":
        write_line(json.dumps(content))
    else:
        write_bytes(file, (json.dumps(content, indent=2) + "\n").encode())
