"""`stego gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stego_cli.commands.options import EventsOption

HELP = """Make a page that shows what was found: every class with its regions, every photograph with its mask.

The page needs no network and no server: open DIR/index.html. Classes can be named, coloured, joined, split and dropped
in it; it hands the edits over as classes.toml. With --edit it is served on this machine alone, and each edit is saved
at once (to MASKS/classes.toml); Ctrl-C ends that.

The masks change when the edits are applied: with the button in the served page, or with
`stego classes apply classes.toml --to MASKS`. With --to a model file all further masks are made so.

\b
Examples:
  stego gallery ./masks
  stego gallery ./masks --photos ./photos --out ./page
  stego gallery ./masks --edit
"""


def command(
    masks: Annotated[Path, typer.Argument(help="A folder that `stego segment` wrote.", show_default=False)],
    photos: Annotated[
        Path | None, typer.Option(help="The photographs.", show_default="those that the masks were made from")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="The gallery.", show_default="MASKS-gallery")
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Serve the page on 127.0.0.1 and save its edits.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve on.", show_default="one that is free")] = 0,
    classes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The classes file.", show_default="MASKS/classes.toml")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="The model, which tells how alike classes are.", show_default="the one in MASKS, if any"),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser (with --edit).")
    ] = True,
    as_json: EventsOption = False,
) -> None:
    """Make a gallery."""
    from stego_cli.errors import EXIT_SOME_FAILED, UsageError
    from stego_cli.stop import Stop
    from stego_cli.tasks.gallery import GallerySettings, classes_file, make_gallery, serve_gallery
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    if port and not edit:
        raise UsageError("--port is for --edit.", "Give --edit too.")
    settings = GallerySettings(masks, photos, out, classes, model, port)
    ui = Ui(as_json)
    with Stop() as stop:
        built = make_gallery(settings, ui, stop)
        ui.event("gallery", page=shown(built.page), photographs=built.photographs, failed=len(built.failed))
        if edit:

            def told(address: str) -> None:
                ui.event("serving", address=address)
                ui.line(f"Edit at {address}")
                ui.line(f"Edits go to {shown(classes_file(settings))}. Ctrl-C ends this.")
                if browser:
                    _open(address)

            if serve_gallery(settings, told, ui, stop):
                ui.line(f"Apply the edits: stego classes apply {shown(classes_file(settings))} --to {shown(masks)}")
        else:
            ui.line(f"Open {shown(built.page)} in a browser.")
    if built.failed:
        ui.line(f"{len(built.failed)} photographs cannot be shown.", style="yellow")
        raise typer.Exit(EXIT_SOME_FAILED)


def _open(address: str) -> None:
    import contextlib
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)
