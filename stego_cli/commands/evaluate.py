"""`stego evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import (
    INPUT,
    MEASURING,
    MODEL,
    BandsOption,
    ClassesOption,
    CrfEngineOption,
    DeviceOption,
    JsonFileOption,
    ReplaceOption,
    StretchOption,
    TruncatedOption,
    WorkersOption,
)
from stego_cli.settings import Protocol

if TYPE_CHECKING:
    from stego_cli.scoring.evaluate import Evaluation
    from stego_cli.ui import Ui

HELP = """Score a model on a labelled data set: its clusters and its linear probe, each with and without CRF.

\b
Examples:
  stego evaluate ./voc
  stego evaluate ./camvid --model ./run --classes 11
  stego evaluate ./cocostuff --model ./imported
  stego evaluate ./camvid --model stego.onnx --protocol full --no-crf --json scores.json

DATA has photographs in DATA/imgs/SPLIT and PNGs of class numbers in DATA/labels/SPLIT, 255 for void. A data set that
`stego prepare` made also has the names of its classes.

`--protocol stego` is that of the paper: shorter side to 320 by the nearest pixel, centre crop, flip-averaged code, one
matching for the whole set. `--protocol full` scores whole pictures at their own size, the masks that `stego segment`
writes.

Without --model the model is the newest run here or directly below, else ./stego.onnx; if there is neither, one is
trained on DATA/imgs/train first and kept as DATA-run.
"""


def command(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A data set with imgs/SPLIT and labels/SPLIT.", show_default=False)
    ],
    split: Annotated[str, typer.Option(metavar="SPLIT", help="Name of the split.", rich_help_panel=INPUT)] = "val",
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="RUN|FILE",
            help="A run, or a file that `stego export-onnx` wrote.",
            show_default="see above",
            rich_help_panel=MODEL,
        ),
    ] = None,
    res: Annotated[
        int | None,
        typer.Option(
            min=16,
            metavar="PIXELS",
            help="Shorter side at which the model works with --protocol full.",
            show_default="the model's own",
            rich_help_panel=MODEL,
        ),
    ] = None,
    protocol: Annotated[Protocol, typer.Option(help="See above.", rich_help_panel=MEASURING)] = "stego",
    classes: ClassesOption = None,
    crf: Annotated[
        bool, typer.Option("--crf/--no-crf", help="Also score after the dense CRF.", rich_help_panel=MEASURING)
    ] = True,
    bands: BandsOption = "",
    stretch: StretchOption = "auto",
    accept_truncated: TruncatedOption = False,
    json_file: JsonFileOption = None,
    overwrite: ReplaceOption = False,
    device: DeviceOption = "auto",
    crf_engine: CrfEngineOption = "auto",
    workers: WorkersOption = None,
) -> None:
    """Evaluate a model."""
    from stego_cli.class_files import parse_classes
    from stego_cli.errors import EXIT_SOME_FAILED
    from stego_cli.images.atomic import require_writable_files
    from stego_cli.images.ownership import require_ours_or_absent
    from stego_cli.reading import Reading
    from stego_cli.scoring.evaluate import OURS
    from stego_cli.settings import EvaluateSettings
    from stego_cli.stop import Stop
    from stego_cli.tasks.evaluate import evaluate
    from stego_cli.ui import Ui

    settings = EvaluateSettings(
        data=data,
        split=split,
        model=model,
        res=res,
        protocol=protocol,
        classes=None if classes is None else parse_classes(classes),
        crf=crf,
        device=device,
        crf_engine=crf_engine,
        workers=workers,
        reading=Reading.parse(bands, stretch, accept_truncated),
    )
    ui = Ui()
    require_ours_or_absent(json_file, OURS, overwrite)
    require_writable_files(json_file)
    with Stop() as stop:
        result = evaluate(settings, ui, stop)
    if json_file is not None:  # before the tables, which may fail to be shown
        _write_json(result, json_file)
    _show(result, ui, out=str(json_file) != "-")
    if result.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(result: Evaluation, ui: Ui, out: bool) -> None:
    from stego_cli.scoring.published import PUBLISHED
    from stego_cli.text import number

    rows: list[tuple[str, ...]] = [
        (f"this model ({result.backbone})", probe, "yes" if crf else "no", number(score.accuracy), number(score.miou))
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
        for row in PUBLISHED.get(result.data_name, ())
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
