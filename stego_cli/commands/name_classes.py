"""`stego classes from-labels`: names from a few labelled photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import (
    INPUT,
    ClassesOption,
    DeviceOption,
    EventsOption,
    IgnoreOption,
    PaletteOption,
    RemapOption,
)

if TYPE_CHECKING:
    from stego_cli.tasks.name_classes import NamingReport
    from stego_cli.ui import Ui

HELP = """Join and name the classes of a run or a model by a few labelled photographs, 1 to 5 or more.

Each cluster becomes the class that its labelled pixels mostly have; one without labelled pixels becomes what the
clusters most alike are. Then the clusters move a little, until their classes are those of the labels. Masks made from
then on have the labels' own numbers. What was said about the classes before is replaced; with --no-fit the clusters are
again where they were found.

\b
Examples:
  stego classes from-labels ./labels --photos ./photos --to ./run
  stego classes from-labels ./labels --photos ./photos --to stego.onnx --classes names.txt --dry-run
  stego classes --from-labels ./labels --photos ./photos --to ./run      (the same as the first)

The label of PHOTOS/x/a.jpg is LABELS/x/a.png (or a_mask.png, .tif, .npy and the like): class numbers, or colours with
--palette. Photographs without a label are passed over. A model that was trained with --overcluster has clusters that
are finer than classes, which this is meant for.
"""
SUGGEST_HELP = """Show which few photographs are most worth labelling: those that show as many classes as possible.

\b
Examples:
  stego classes suggest --to ./masks
  stego classes suggest --to ./masks --count 3

Label these, then name the classes with `stego classes from-labels`. Nothing but the masks' journal is read.
"""


def command(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Folder of a few labels, or many.", show_default=False)
    ],
    to: Annotated[Path, typer.Option("--to", metavar="RUN|MODEL", help="What has the classes.", show_default=False)],
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="Folder of the photographs that the labels are of, among others.",
            show_default="those of the data set",
            rich_help_panel=INPUT,
        ),
    ] = None,
    classes: ClassesOption = None,
    ignore: IgnoreOption = None,
    remap: RemapOption = None,
    palette: PaletteOption = None,
    fit: Annotated[
        bool,
        typer.Option(
            "--fit/--no-fit", help="Also move the clusters until their classes are those of the labels, or only name."
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be decided; change nothing.")] = False,
    device: DeviceOption = "auto",
    as_json: EventsOption = False,
) -> None:
    """Name classes by labels."""
    from stego_cli.class_files import parse_classes, parse_ignore, read_remap
    from stego_cli.stop import Stop
    from stego_cli.tasks.name_classes import NamingTask, name_classes
    from stego_cli.ui import Ui

    task = NamingTask(
        labels=labels,
        to=to,
        photos=photos,
        classes=None if classes is None else parse_classes(classes),
        ignore="auto" if ignore is None else parse_ignore(ignore),
        remap=None if remap is None else read_remap(remap),
        palette=palette,
        device=device,
        fit=fit,
        dry_run=dry_run,
    )
    ui = Ui(as_json)
    with Stop() as stop:
        report = name_classes(task, ui, stop)
    _show(report, to, ui, as_json)
    if report.failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _show(report: NamingReport, to: Path, ui: Ui, as_json: bool) -> None:
    """Show the vote of each cluster, and what became of it."""
    from stego_cli.text import visible

    rows, names = [], [visible(name) for name in report.names]
    for vote in report.votes:
        name = None if vote.label is None else report.names[vote.label]
        ui.event(
            "vote",
            cluster=vote.cluster,
            name=name,
            label=vote.label,
            pixels=vote.pixels,
            certainty=round(vote.certainty, 4),
            sure=vote.sure,
            shares={report.names[label]: round(share, 4) for label, share in vote.shares},
        )
        first = ", ".join(f"{names[label]} {share:.0%}" for label, share in vote.shares[:3])
        decided = "?" if vote.label is None else names[vote.label] + ("" if vote.sure else " ?")
        rows.append(
            (str(vote.cluster), decided, f"{vote.certainty:.0%}", str(vote.pixels), first or "no labelled pixel")
        )
    ui.event(
        "named",
        to=str(to),
        of=report.kind,
        photographs=report.photographs,
        clusters=len(report.votes),
        classes=len({vote.label for vote in report.votes} - {None}),
        missing=list(report.missing),
        changed=report.changed,
        moved=report.moved,
    )
    if not as_json:
        ui.table("", ["cluster", "class", "certainty", "labelled pixels", "of which"], rows, out=True)
    _conclude(report, to, ui)


def _conclude(report: NamingReport, to: Path, ui: Ui) -> None:
    from stego_cli.text import shown, visible

    classes, unsure = len(report.edits.legend), sum(not vote.sure for vote in report.votes)
    ui.line(
        f"{len(report.votes)} clusters, {classes} classes, by {report.photographs} labelled photographs"
        + (f"; {unsure} clusters are uncertain (?): more labels, or a look at them, would help." if unsure else ".")
    )
    if report.moved and report.changed:
        ui.line("The clusters have moved a little to fit the labels; with --no-fit they are only named.")
    if report.missing:
        ui.warn(f"In the labels, but no cluster is mostly of it: {', '.join(map(visible, report.missing))}.")
    if not report.changed:
        ui.line(f"Nothing was changed in {shown(to)}.")
    elif report.kind == "run":
        ui.line(f"Kept in {shown(to / 'classes.toml')}. Next: `stego export-onnx {shown(to)}`.")
    else:
        ui.line(f"{shown(to)} has these classes now.")


def suggest_command(
    to: Annotated[Path, typer.Option("--to", metavar="MASKS", help="Masks of the photographs.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, metavar="N", help="Number of photographs.")] = 5,
    as_json: EventsOption = False,
) -> None:
    """Suggest photographs to label."""
    from stego_cli.tasks.name_classes import suggest_photographs
    from stego_cli.text import displayed, shown
    from stego_cli.ui import Ui

    ui, rows = Ui(as_json), []
    for each in suggest_photographs(to, count):
        ui.event("suggestion", path=shown(each.path), classes=each.classes, covered=round(each.covered, 4))
        rows.append((displayed(each.path), str(each.classes), f"{each.covered:.1%}"))
    if not as_json:
        ui.table("", ["photograph", "classes in it", "pixels in classes shown so far"], rows, out=True)


def as_command(words: list[str]) -> list[str]:
    """Return the words after `stego classes` with the option --from-labels, wherever it stands, as the subcommand."""
    option = f"--{NAME}"
    apart = [part for word in words for part in (word.split("=", 1) if word.startswith(f"{option}=") else [word])]
    if option not in apart:
        return words
    apart.remove(option)
    return [NAME, *apart]


NAME = "from-labels"
COMMANDS: dict[str, tuple[str, Callable[..., None]]] = {
    NAME: (HELP, command),
    "suggest": (SUGGEST_HELP, suggest_command),
}
