"""`stego prepare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.classes import TABLES
from stego_cli.commands.options import INPUT, OUTPUT, REPEAT, EventsOption, completed_from
from stego_cli.settings import CutCrops

if TYPE_CHECKING:
    from stego_cli.datasets.about import About
    from stego_cli.datasets.build import Prepared
    from stego_cli.tasks.prepare import Preview
    from stego_cli.ui import Ui

_NAMES = (*TABLES, "folder")
_OWN = "Folders of photographs"
_PART = "Part, crops and size"
_SHOWN_FAILURES = 20

HELP = """Make a data set that `train`, `evaluate` and `score` read, from what its official hosts publish.

\b
Examples:
  stego prepare voc2012 --download --out voc
  stego prepare voc2012 --source VOCtrainval_11-May-2012.tar --out voc
  stego prepare cocostuff27 --source coco --lists curated --out coco27 --fraction 0.1 --seed 1
  stego prepare cityscapes --source downloads --out cityscapes --crops five
  stego prepare folder --source ./photos --labels ./labels --palette colours.txt --out mine

NAME is a data set, or `folder` for your own photographs. OUT gets imgs/SPLIT and labels/SPLIT, a list of each split,
dataset.json with the names and colours of the classes, and contact.jpg to look at. OUT is complete or not there: a run
that was killed goes on with the same command, and a data set that is there already is left as it is.

voc2012 and cocostuff27 can be downloaded (--download). cityscapes and potsdam3 need an account; without --source the
command shows where to get them. No name in an archive can write outside OUT. See docs/how-to/datasets.md.
"""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help=f"{', '.join(_NAMES)}.", show_default=False, autocompletion=completed_from(_NAMES)
        ),
    ],
    *,
    source: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="An archive or a folder; may be given several times.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download", help="Fetch the archives first, into --source or ./NAME-download.", rich_help_panel=INPUT
        ),
    ] = False,
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of a folder to try before the official host.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    lists: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of the curated lists (cocostuff27, potsdam3).", rich_help_panel=INPUT
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="LABELS", help="Folder of the labels, if they are not in --source.", rich_help_panel=_OWN),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="N|FILE|NAME",
            help="A number, a file with one name a line, or a data set.",
            show_default="from the labels",
            rich_help_panel=_OWN,
        ),
    ] = None,
    palette: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|auto",
            help='For colour labels: file of "RED GREEN BLUE NAME" lines, or labelmap.txt of CVAT; auto: each is a '
            "class.",
            rich_help_panel=_OWN,
        ),
    ] = None,
    label_pattern: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help='Name of a label, such as "{stem}_mask.png" or "masks/{folder}/{stem}.png".',
            show_default="the usual ones",
            rich_help_panel=_OWN,
        ),
    ] = None,
    remap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help='File of "label-value class" lines.',
            show_default="values in order",
            rich_help_panel=_OWN,
        ),
    ] = None,
    void: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help="Label values of no class, such as 0 or 0,255, or none.",
            show_default="255, but not in binary labels",
            rich_help_panel=_OWN,
        ),
    ] = None,
    val: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the photographs in the split val.", rich_help_panel=_OWN)
    ] = 0.2,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="At most N photographs of each split.", rich_help_panel=_PART)
    ] = None,
    fraction: Annotated[
        float | None, typer.Option(metavar="SHARE", help="This share of each split, 0 to 1.", rich_help_panel=_PART)
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Decides which ones, and where random crops are.", rich_help_panel=_PART)
    ] = 0,
    crops: Annotated[
        CutCrops | None,
        typer.Option(
            help="Five crops of each training photograph: corners and centre, or anywhere.",
            show_default="none",
            rich_help_panel=_PART,
        ),
    ] = None,
    ratio: Annotated[
        float, typer.Option(metavar="SHARE", help="Sides of a crop to those of the photograph.", rich_help_panel=_PART)
    ] = 0.5,
    resize: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS", help="Shorter side; smaller photographs stay as they are.", rich_help_panel=_PART
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option("--unlabelled", help="Also photographs of no split, in imgs/unlabelled.", rich_help_panel=_PART),
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the data set.", rich_help_panel=OUTPUT)
    ],
    link: Annotated[
        bool, typer.Option("--link", help="Hard links instead of copies, from a folder.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the data set that is there.", rich_help_panel=REPEAT)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.", rich_help_panel=REPEAT)
    ] = False,
    as_json: EventsOption = False,
) -> None:
    """Prepare a data set."""
    from stego_cli.class_files import parse_classes, parse_void, read_remap
    from stego_cli.errors import EXIT_SOME_FAILED
    from stego_cli.settings import PrepareSettings
    from stego_cli.stop import Stop
    from stego_cli.tasks.prepare import prepare, preview
    from stego_cli.ui import Ui

    settings = PrepareSettings(
        name=name,
        out=out,
        source=tuple(source or ()),
        download=download,
        mirror=tuple(mirror or ()),
        lists=lists,
        labels=labels,
        classes=parse_classes(classes) if classes else None,
        palette="auto" if str(palette) == "auto" else palette,
        label_pattern=label_pattern,
        remap=None if remap is None else read_remap(remap),
        void=None if void is None else parse_void(void),
        val=val,
        limit=limit,
        fraction=fraction,
        seed=seed,
        crops=crops,
        ratio=ratio,
        resize=resize,
        link=link,
        unlabelled=unlabelled,
        overwrite=overwrite,
    )
    ui = Ui(as_json)
    if dry_run:
        _show_preview(preview(settings, ui), out, list(settings.mirror), ui)
        return
    with Stop() as stop:
        prepared = prepare(settings, ui, stop)
    _show(prepared, out, ui)
    if prepared.failures:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show_preview(found: Preview, out: Path, mirrors: list[str], ui: Ui) -> None:
    """Show what would be downloaded, or what would be prepared."""
    from stego_cli.text import shown

    if found.folder is None:
        ui.event("plan", splits=found.splits)
        counts = [(split, str(count)) for split, count in found.splits.items()]
        ui.table("", ("split", "photographs"), counts, out=True)
        ui.note(f"They would be prepared in {shown(out)}; nothing was done.")
        return
    rows, total = [], 0
    for archive, missing in found.archives:
        total += missing
        size = f"{'' if archive.size else 'about '}{archive.bytes / 1e9:.2f} GB"
        rows.append((archive.name, size, f"{missing / 1e9:.2f} GB to fetch" if missing else "is there", archive.url))
        ui.event("download", url=archive.url, bytes=archive.size, to_fetch=missing, mirrors=mirrors)
    ui.table("", ("archive", "size", "", "from"), rows, out=True)
    ui.note(f"{total / 1e9:.2f} GB would be fetched into {shown(found.folder)}; nothing was done.")


def _show(prepared: Prepared, out: Path, ui: Ui) -> None:
    """Show counts by split and class, what was left out, and what to do next."""
    from stego_cli.text import shown

    about = prepared.about
    ui.event(
        "prepared",
        out=shown(out),
        kept=prepared.kept,
        failed=len(prepared.failures),
        splits={name: {"photographs": each.photographs, "labels": each.labels} for name, each in about.splits.items()},
    )
    if prepared.kept:
        ui.note(f"{shown(out)} is prepared already; nothing to do.")
        return
    ui.table(
        "",
        ("split", "photographs", "labels"),
        [(name, str(each.photographs), str(each.labels)) for name, each in about.splits.items()],
    )
    _show_classes(about, ui)
    for path, reason in prepared.failures[:_SHOWN_FAILURES]:
        ui.line(f"left out: {shown(path)}: {shown(reason)}", style="red")
    if len(prepared.failures) > _SHOWN_FAILURES:
        ui.note(f"... and {len(prepared.failures) - _SHOWN_FAILURES} more.")
    ui.note(
        f"{shown(out)} is prepared; {shown(out)}/contact.jpg shows some of it. Next: stego train {shown(out)} --out run"
    )


def _show_classes(about: About, ui: Ui) -> None:
    if about.table is None:
        return
    splits = {name: each for name, each in about.splits.items() if each.labels}
    rows = []
    for index, name in enumerate(about.table.names):
        cells = []
        for each in splits.values():
            total = sum(each.pixels) or 1
            cells += [str(each.images[index]), f"{100 * each.pixels[index] / total:.2f}"]
        rows.append((name, *cells))
    columns = [column for split in splits for column in (f"{split}: labels", "% of pixels")]
    ui.table("", ("class", *columns), rows)
    for name, each in splits.items():
        pixels = sum(each.pixels) + each.void
        ui.line(f"{name}: {100 * each.void / (pixels or 1):.1f} % of the pixels are void.")
