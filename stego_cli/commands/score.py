"""`stego score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import ClassesOption

if TYPE_CHECKING:
    from stego_cli.scoring.result import Score
    from stego_cli.scoring.settings import ScoreSettings
    from stego_cli.ui import Ui

HELP = """Measure masks against labels: accuracy, IoU of every class, and what else tells how good they are.

MASKS/x/a.png is compared with LABELS/x/a.png: PNGs whose grey values or palette indices are class numbers. Clusters
have no names, so they are first matched to classes, once for the whole set: `hungarian` gives each class one cluster
so that most pixels agree, `majority` lets each cluster be the class most of its pixels have, `identity` takes the
numbers as they are.

Labels of a data set that `stego prepare` made need no --classes: its dataset.json has their names, colours and void
value. LABELS may be the data set itself; then those of its split val are meant, and masks in MASKS/val.

Predictions that are no class number count as wrong, and are said; `--mode stego` leaves them out, as the original
code does, for comparison with published figures. A mask of another size than its label is resized (nearest pixel).

\b
Examples:
  stego score --pred ./masks --gt ./labels
  stego score --pred ./masks --gt ./voc --report score.html
  stego score --pred ./masks --gt ./labels --classes cocostuff27 --json score.json
  stego score --pred ./masks --gt ./labels --classes names.txt --remap remap.txt --report score.html --photos ./photos
"""
_EXTREMES = 4  # best and worst photographs in a report, each
_SHOWN_FAILURES = 20


def command(
    pred: Annotated[Path, typer.Option("--pred", metavar="MASKS", help="Folder of predicted masks.")],
    gt: Annotated[Path, typer.Option("--gt", metavar="LABELS", help="Folder of labels.")],
    classes: ClassesOption = None,
    ignore: Annotated[
        str | None,
        typer.Option(help="Label value that is of no class, or none.", show_default="the data set's, else 255"),
    ] = None,
    remap: Annotated[
        Path | None, typer.Option(help='File of "label-value class" lines; values not in it are of no class.')
    ] = None,
    match: Annotated[str, typer.Option(help="hungarian, identity or majority.")] = "hungarian",
    mode: Annotated[str, typer.Option(help="honest, or stego for the original's figures.")] = "honest",
    strict: Annotated[bool, typer.Option("--strict", help="A mask of another size than its label fails.")] = False,
    boundary: Annotated[bool, typer.Option("--boundary/--no-boundary", help="Compute the boundary F-score.")] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all figures as JSON; - for standard output.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write a page with pictures.")] = None,
    photos: Annotated[Path | None, typer.Option(help="The photographs, to be shown in the report.")] = None,
    workers: Annotated[int | None, typer.Option(help="Counting processes.", show_default="one a core")] = None,
) -> None:
    """Score a tree of masks."""
    from stego_cli.classes import VOID
    from stego_cli.datasets.layout import labels_of_data, scored_folders
    from stego_cli.errors import EXIT_SOME_FAILED, UsageError
    from stego_cli.images.atomic import require_writable_files
    from stego_cli.scoring.score import score
    from stego_cli.scoring.settings import ScoreSettings, parse_classes, parse_ignore, read_remap
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

    if photos is not None and report is None:
        raise UsageError("--photos is for the report.", "Give --report FILE.html too.")
    pred, gt = scored_folders(pred, gt)
    about, beside = labels_of_data(gt)
    table = parse_classes(classes) if classes is not None else about.table if about and remap is None else None
    photos = photos or beside
    settings = ScoreSettings(
        pred=pred,
        gt=gt,
        table=table,
        match=match,
        mode=mode,
        strict=strict,
        boundary=boundary,
        workers=workers,
        ignore=parse_ignore(ignore) if ignore is not None else table.void if table else VOID,
        remap=None if remap is None else read_remap(remap),
        extremes=0 if report is None else _EXTREMES,
    )
    ui = Ui()
    require_writable_files(json_file, report)
    with Stop() as stop:
        result = score(settings, ui, stop)
        _show(result, ui, to_stdout=str(json_file) != "-")
        _write(result, settings, json_file, report, photos, ui)
    if result.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(score: Score, ui: Ui, to_stdout: bool) -> None:
    """Show the figures, which were asked for, and say what was left out of them or went wrong."""
    from stego_cli.text import shown
    from stego_cli.ui import figure

    pixels = score.pixels
    total = int(pixels.sum())
    ui.table(
        "",
        ("class", "IoU %", "share of labels %"),
        [
            (shown(name), figure(iou), figure(100 * count / total if total else 0.0))
            for name, iou, count in zip(score.table.names, score.ious, pixels, strict=True)
        ],
        out=to_stdout,
    )
    ui.table(
        "",
        ("all classes", ""),
        [
            ("accuracy %", figure(score.accuracy)),
            ("mIoU %", figure(score.miou)),
            ("frequency-weighted IoU %", figure(score.fwiou)),
            *([("boundary F-score %", figure(score.boundary_f))] if score.boundary_f is not None else []),
            ("adjusted mutual information", figure(score.ami, digits=4)),
            ("pairs", str(score.images)),
            ("pixels", str(total)),
            ("ignored pixels", str(score.ignored_pixels)),
            ("unmatched pixels", str(score.unmatched_pixels)),
            ("failed", str(len(score.failures))),
        ],
        out=to_stdout,
    )
    if score.unmatched_pixels:
        share = score.unmatched_pixels / (total + score.dropped)
        kept = "they were left out, as the original does" if score.mode == "stego" else "they count as wrong"
        ui.note(f"{share:.1%} of the labelled pixels were predicted as a cluster that is matched to no class; {kept}.")
    if score.resized:
        ui.note(f"Masks of another size than their label, resized to it (nearest pixel): {score.resized}.")
    if score.void:
        ui.note(f"Labels without a pixel of any class: {score.void}.")
    if not total:
        ui.warn("No labelled pixel is of any class, so there is nothing to measure; see --ignore and --remap.")
    for path, reason in score.failures[:_SHOWN_FAILURES]:
        ui.line(f"failed: {shown(path)}: {shown(reason)}", style="red")
    if len(score.failures) > _SHOWN_FAILURES:
        ui.note(f"... and {len(score.failures) - _SHOWN_FAILURES} more; --json FILE lists them all.")


def _write(
    score: Score, settings: ScoreSettings, json_file: Path | None, report: Path | None, photos: Path | None, ui: Ui
) -> None:
    from stego_cli.images.atomic import write_bytes
    from stego_cli.scoring.result import as_json
    from stego_cli.text import shown

    if json_file is not None and str(json_file) == "-":
        from stego_cli.ui import write_line

        write_line(as_json(score).rstrip("\n"))
    elif json_file is not None:
        write_bytes(json_file, as_json(score).encode())
    if report is not None:
        from stego_cli.scoring.report_pictures import load_samples
        from stego_cli.scoring.score_report import report_page

        page = report_page(score, load_samples(score, settings, photos))
        write_bytes(report, page.encode())
        ui.note(f"Report: {shown(report)}.")
