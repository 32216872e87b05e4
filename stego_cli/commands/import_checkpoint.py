"""`stego import-checkpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stego_cli.commands.options import OUTPUT, EventsOption

HELP = """Make a run from a checkpoint of the original STEGO, to export and to segment with.

\b
Examples:
  stego import-checkpoint cocostuff27_vit_base_5.ckpt --out coco
  stego export-onnx coco --out coco.onnx --flip
  stego segment ./photos --out ./masks --model coco.onnx

FILE is a .ckpt as the original's training writes it and its authors publish it: DINO ViT-S or ViT-B, patch 8 or 16. The
run also gets the backbone, which is in the file, and the linear probe if there is one. Nothing in the file is executed;
a file that asks for it is refused (exit code 5). For the published results export with --flip.
"""


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The checkpoint (.ckpt).", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="Folder for the run.", rich_help_panel=OUTPUT)
    ],
    as_json: EventsOption = False,
) -> None:
    """Import a checkpoint of the original STEGO."""
    from stego_cli.model.original import import_checkpoint
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    ui = Ui(as_json)
    with ui.stage("Importing", None):
        run = import_checkpoint(file, out)
    classes = len(run.linear[1]) if run.linear else 0
    linear = f"a linear probe of {classes} classes" if classes else "no linear probe"
    ui.event(
        "imported",
        run=shown(out),
        backbone=run.backbone.name,
        token=run.token,
        code=run.settings.code,
        clusters=len(run.cluster),
        linear_classes=classes,
    )
    ui.note(
        f"{shown(out)}: {run.backbone.name} ({run.token}), code of width {run.settings.code}, "
        f"{len(run.cluster)} clusters, {linear}."
    )
    ui.note(f"Next: stego export-onnx {shown(out)} --flip")
