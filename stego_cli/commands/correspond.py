"""`stego correspond`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import INPUT, MEASURING, MODEL, OUTPUT, ReplaceOption, TorchDeviceOption, completed_from
from stego_cli.model.backbones import BACKBONES
from stego_cli.settings import DEFAULT_BACKBONE, DEFAULT_RES

if TYPE_CHECKING:
    from stego_cli.correspond.label_agreement import Agreement
    from stego_cli.ui import Ui

HELP = """Draw correspondences between patches, or measure how well they predict labels.

\b
Examples:
  stego correspond cat.jpg --at 250,180 --out cat.png
  stego correspond wren.jpg --at 270,120 heron.jpg osprey.jpg --run run --out birds.png
  stego correspond --data ./camvid --run run --out curves.png --json curves.json

With PHOTOS, draw where the backbone's features (F) and, with --run, the head's codes (S) correspond to a point of the
first photograph. Several --at give several rows.

With --data, measure how well F and S predict that two pixels share a label, on DATA/imgs/SPLIT and DATA/labels/SPLIT:
precision, recall and average precision, compared with plain colour and chance.
"""


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="The picture.", rich_help_panel=OUTPUT)],
    photos: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PHOTOS", help="A photograph, and others to compare it with.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Also write the values as JSON; - for standard output.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y",
            help="A point of the first photograph, pixels from its upper left corner; may be repeated.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DATA", help="A data set with imgs/SPLIT and labels/SPLIT.", rich_help_panel=INPUT),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="Name of the split of DATA.", rich_help_panel=INPUT)
    ] = "val",
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="A run of `stego train`: its codes are used too.", rich_help_panel=MODEL),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="See `stego models list`.",
            autocompletion=completed_from(BACKBONES),
            show_default=f"the run's, or {DEFAULT_BACKBONE}",
            rich_help_panel=MODEL,
        ),
    ] = None,
    res: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Shorter side at which photographs are described.",
            show_default=f"the run's, or {DEFAULT_RES}",
            rich_help_panel=MODEL,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="N", help="Photographs of DATA used at most, 1 to 20000.", rich_help_panel=MEASURING)
    ] = 500,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Seed of the choice of photographs and pixels of DATA.", rich_help_panel=MEASURING
        ),
    ] = 0,
    overwrite: ReplaceOption = False,
    device: TorchDeviceOption = "auto",
) -> None:
    """Draw correspondences."""
    import json

    from stego_cli.images.atomic import require_writable_files, write_bytes
    from stego_cli.images.ownership import require_ours_or_absent
    from stego_cli.stop import Stop
    from stego_cli.tasks.correspond import VALUES_OURS, CorrespondTask, correspond
    from stego_cli.ui import Ui, write_line

    task = CorrespondTask(
        out=out,
        photos=tuple(photos or ()),
        at=tuple(_point(text) for text in at or ()),
        data=data,
        split=split,
        run=run,
        backbone=backbone,
        res=res,
        limit=limit,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    require_ours_or_absent(json_file, VALUES_OURS, overwrite)
    require_writable_files(json_file)
    ui = Ui()
    with Stop() as stop:
        result = correspond(task, ui, stop)
    if str(json_file) == "-":  # before the tables, which may fail to be shown
        write_line(json.dumps(result.values))
    elif json_file is not None:
        write_bytes(json_file, (json.dumps(result.values, indent=2) + "\n").encode())
    if result.agreement is not None:
        _show(result.agreement, result.names, ui, out=str(json_file) != "-")
    if result.failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _point(text: str) -> tuple[float, float]:
    from stego_cli.errors import UsageError, setting

    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        remedy = f"Give two numbers of pixels, such as {setting('at', '250,180')}."
        raise UsageError(f"{text} is not X,Y.", remedy, field="at") from error
    return x, y


def _show(agreement: Agreement, names: dict[str, str], ui: Ui, out: bool) -> None:
    from stego_cli.correspond.pictures import TITLES

    pairings = list(agreement.base_rates)
    rows = [
        (kind, *(f"{each[pairing].average_precision:.3f}" for pairing in pairings))
        for kind, each in agreement.curves.items()
    ]
    rows.append(("chance", *(f"{agreement.base_rates[pairing]:.3f}" for pairing in pairings)))
    ui.note("; ".join(f"{kind}: {name}" for kind, name in names.items()) + "; colour: nearness of RGB.")
    title = f"Average precision of predicting that two pixels share a label; {agreement.photographs} photographs"
    ui.table(title, ("", *(TITLES[pairing] for pairing in pairings)), rows, out=out)
