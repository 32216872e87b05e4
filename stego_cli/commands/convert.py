"""`stego convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stego_cli.commands.options import INPUT, OUTPUT, EventsOption
from stego_cli.gallery.formats import FORMATS

HELP = f"""Hand masks to another tool, in its own format, or take them back.

\b
Examples:
  stego convert ./masks --to coco --out ./coco
  stego convert ./masks --to yolo-seg --out ./yolo --with-photos --min-area 50
  stego convert ./masks --to csv --out ./areas
  stego convert ./masks --to gpkg --out ./polygons
  stego convert ./coco --from coco --out ./masks2

\b
Formats:
{chr(10).join(f"  {name:<13} {row.about}" for name, row in FORMATS.items())}

Classes have the names and colours that the masks have; dropped pixels belong to no class. Without --tolerance, coco and
cvat are exact and polygons keep within about one pixel; with --tolerance 0 outlines run along the pixels' edges, which
gives the same masks back. Outlines of neighbours stay one line: no gaps open between them. Formats without holes get
regions cut through their holes.
"""


def command(
    source: Annotated[
        Path, typer.Argument(metavar="MASKS", help="What `stego segment`, or another tool, wrote.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to make.", rich_help_panel=OUTPUT)
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORMAT", help="Format to write.", show_default=False, rich_help_panel=OUTPUT),
    ] = None,
    back: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help="Format to read; masks are written.",
            show_default=False,
            rich_help_panel=INPUT,
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The photographs.",
            show_default="those that the masks were made from",
            rich_help_panel=INPUT,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS", help="What an outline may leave out.", show_default="see above", rich_help_panel=OUTPUT
        ),
    ] = None,
    min_area: Annotated[
        float,
        typer.Option(metavar="PIXELS", help="Leave out regions, and fill holes, below this.", rich_help_panel=OUTPUT),
    ] = 0.0,
    with_photos: Annotated[
        bool,
        typer.Option(
            "--with-photos", help="Also put the photographs where the format has them.", rich_help_panel=OUTPUT
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Write into a folder that is not empty.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: EventsOption = False,
) -> None:
    """Convert masks."""
    from stego_cli.errors import EXIT_SOME_FAILED, UsageError
    from stego_cli.gallery.formats.common import Shaping
    from stego_cli.stop import Stop
    from stego_cli.tasks.convert import ConvertSettings, convert
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    name = to or back
    if name is None or (to is not None and back is not None):
        raise UsageError("Give one of --to and --from.", f"The formats are {', '.join(FORMATS)}.")
    ui = Ui(as_json)
    shaping = Shaping(tolerance, min_area, with_photos)
    settings = ConvertSettings(source, out, name, back is not None, photos, shaping, overwrite)
    with Stop() as stop:
        result = convert(settings, ui, stop)
    ui.event(
        "converted",
        format=name,
        out=shown(out),
        photographs=result.photographs,
        classes=[row.name for row in result.classes],
        failed=[path for path, _ in result.failed],
    )
    ui.line(f"{result.photographs} photographs, {len(result.classes)} classes: {shown(out)}.")
    if result.failed:
        raise typer.Exit(EXIT_SOME_FAILED)
