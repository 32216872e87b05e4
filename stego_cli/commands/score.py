"""`stego score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import (
    INPUT,
    MACHINE,
    MEASURING,
    OUTPUT,
    BandsOption,
    ClassesOption,
    IgnoreOption,
    JsonFileOption,
    PaletteOption,
    RemapOption,
    ReplaceOption,
    StretchOption,
    TruncatedOption,
)
from stego_cli.settings import Match, ScoreMode

if TYPE_CHECKING:
    from stego_cli.scoring.result import Score
    from stego_cli.ui import Ui

HELP = """Measure masks against labels: accuracy, the IoU of each class, and more.

\b
Examples:
  stego score --pred ./masks --gt ./labels
  stego score --pred ./masks --gt ./voc --report score.html
  stego score --pred ./masks --gt ./labels --classes cocostuff27 --json score.json
  stego score --pred ./masks --gt ./labels --classes names.txt --remap remap.txt --report score.html --photos ./photos

MASKS/x/a.png is compared with LABELS/x/a.png, whose grey values or palette indices are class numbers. Labels may also
be TIFF, GIF, BMP, .npy, .npz or .mat files, colour pictures with --palette, and named a_mask.png or the like. Clusters
have no names, so they are first matched to classes, once for the whole set: `hungarian` gives each class one cluster,
so that as many pixels as possible agree; `majority` makes each cluster the class of most of its pixels; `identity`
takes the numbers as they are.

LABELS may also be a data set that `stego prepare` made. Its split val is then compared with MASKS/val, and its
dataset.json has the classes, their colours and the void value, so that --classes and --ignore are not needed.

Predictions that are no class number count as wrong. With `--mode stego` they are left out, as in the original code,
for comparison with published results. A mask of another size than its label is resized (nearest pixel).
"""
_SHOWN_FAILURES, _SHOWN_VALUES = 20, 8


def command(
    pred: Annotated[
        Path, typer.Option("--pred", metavar="MASKS", help="Folder of predicted masks.", rich_help_panel=INPUT)
    ],
    gt: Annotated[
        Path, typer.Option("--gt", metavar="LABELS", help="Folder of labels, or a data set.", rich_help_panel=INPUT)
    ],
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    remap: RemapOption = None,
    palette: PaletteOption = None,
    match: Annotated[
        Match, typer.Option(help="How clusters are matched to classes.", rich_help_panel=MEASURING)
    ] = "hungarian",
    mode: Annotated[
        ScoreMode,
        typer.Option(help="Predictions of no class: wrong, or left out as in the original.", rich_help_panel=MEASURING),
    ] = "honest",
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="A mask of another size than its label fails instead.", rich_help_panel=MEASURING
        ),
    ] = False,
    boundary: Annotated[
        bool, typer.Option("--boundary/--no-boundary", help="Compute the boundary F-score.", rich_help_panel=MEASURING)
    ] = True,
    json_file: JsonFileOption = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.", rich_help_panel=OUTPUT)
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="PHOTOS", help="Photographs to show in the report.", rich_help_panel=OUTPUT)
    ] = None,
    bands: BandsOption = "",
    stretch: StretchOption = "auto",
    accept_truncated: TruncatedOption = False,
    overwrite: ReplaceOption = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Processes that count pixels.", show_default="one a core", rich_help_panel=MACHINE
        ),
    ] = None,
) -> None:
    """Score a folder of masks."""
    from stego_cli.class_files import parse_classes, parse_ignore, read_remap
    from stego_cli.errors import EXIT_SOME_FAILED
    from stego_cli.reading import Reading
    from stego_cli.settings import ScoreSettings
    from stego_cli.stop import Stop
    from stego_cli.tasks.score import score
    from stego_cli.ui import Ui

    to_stdout = str(json_file) == "-"
    settings = ScoreSettings(
        pred=pred,
        gt=gt,
        classes=None if classes is None else parse_classes(classes),
        ignore="auto" if ignore is None else parse_ignore(ignore),
        remap=None if remap is None else read_remap(remap),
        palette=palette,
        match=match,
        mode=mode,
        strict=strict,
        boundary=boundary,
        json_file=None if to_stdout else json_file,
        report=report,
        photos=photos,
        workers=workers,
        overwrite=overwrite,
        reading=Reading.parse(bands, stretch, accept_truncated),
    )
    ui = Ui()
    with Stop() as stop:
        result = score(settings, ui, stop)
    _show(result, ui, to_stdout, report, palette)
    if result.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(score: Score, ui: Ui, as_json: bool, report: Path | None, palette: Path | None) -> None:
    """Show the metrics, what was left out of them, and what failed."""
    from stego_cli.images.ids import COLOUR_PICTURE
    from stego_cli.scoring.result import as_json as json_text
    from stego_cli.text import shown
    from stego_cli.ui import write_line

    if as_json:  # before all else, which may fail to be shown
        write_line(json_text(score).rstrip("\n"))
    _show_tables(score, ui, out=not as_json)
    total = int(score.pixels.sum())
    if score.unmatched_pixels:
        share = score.unmatched_pixels / (total + score.dropped)
        kept = "they were left out, as in the original" if score.mode == "stego" else "they count as wrong"
        ui.note(f"{share:.1%} of the labelled pixels were predicted as a cluster that is matched to no class; {kept}.")
    if score.resized:
        ui.note(f"Masks of another size than their label, resized to it (nearest pixel): {score.resized}.")
    if score.void:
        ui.note(f"Labels without a pixel of any class: {score.void}.")
    _show_left_out(score, ui, palette)
    if not total:
        ui.warn("No labelled pixel is of any class, so there is nothing to measure; see --ignore and --remap.")
    for path, reason in score.failures[:_SHOWN_FAILURES]:
        ui.line(f"failed: {shown(path)}: {shown(reason)}", style="red")
    if len(score.failures) > _SHOWN_FAILURES:
        ui.note(f"... and {len(score.failures) - _SHOWN_FAILURES} more; --json FILE lists them all.")
    if any(COLOUR_PICTURE in reason for _, reason in score.failures):
        ui.note("Labels that are colour pictures need --palette FILE, which has the class of each colour.")
    if report is not None:
        ui.note(f"Report: {shown(report)}.")


def _show_left_out(score: Score, ui: Ui, palette: Path | None) -> None:
    """Name the label values and colours that are of no class, but for 255, which usually has no class."""
    from stego_cli.classes import LARGEST_ID, VOID
    from stego_cli.text import shown

    beyond = {value: count for value, count in score.left_out.items() if value != VOID}
    if palette is not None and (count := beyond.pop(LARGEST_ID, 0)):
        ui.warn(f"{count} pixels of labels have colours that are not in {shown(palette)}, and were left out.")
    if beyond:
        first = ", ".join(f"{value} ({count} pixels)" for value, count in list(beyond.items())[:_SHOWN_VALUES])
        more = f" and {len(beyond) - _SHOWN_VALUES} more" if len(beyond) > _SHOWN_VALUES else ""
        ui.warn(f"Label values of no class, left out of all metrics: {first}{more}; see --classes and --remap.")


def _show_tables(score: Score, ui: Ui, out: bool) -> None:
    from stego_cli.text import number, shown

    total = int(score.pixels.sum())
    ui.table(
        "",
        ("class", "IoU %", "share of labels %"),
        [
            (shown(name), number(iou), number(100 * count / total if total else 0.0))
            for name, iou, count in zip(score.table.names, score.ious, score.pixels, strict=True)
        ],
        out=out,
    )
    ui.table(
        "",
        ("all classes", ""),
        [
            ("accuracy %", number(score.accuracy)),
            ("mIoU %", number(score.miou)),
            ("frequency-weighted IoU %", number(score.fwiou)),
            *([("boundary F-score %", number(score.boundary_f))] if score.boundary_f is not None else []),
            ("adjusted mutual information", number(score.ami, digits=4)),
            ("pairs", str(score.images)),
            ("pixels", str(total)),
            ("ignored pixels", str(score.ignored_pixels)),
            ("unmatched pixels", str(score.unmatched_pixels)),
            ("failed", str(len(score.failures))),
        ],
        out=out,
    )
