"""`stego export-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stego_cli.commands.options import MODEL, OUTPUT, EventsOption, ReplaceOption
from stego_cli.settings import Precision

HELP = """Write a run as one ONNX file: backbone, head and probes, for any batch and any size in whole patches.

\b
Examples:
  stego export-onnx
  stego export-onnx run --out street.onnx --flip
  stego export-onnx run --precision fp16
  stego export-onnx run --precision int8 --out fast.onnx

Torch and ONNX Runtime are compared on several shapes first; if they differ, nothing is written (exit code 5).
fp16 halves the file and suits GPUs. int8 is faster on CPUs, and its masks differ a little.
"""


def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN", help="Folder that `stego train` wrote.", show_default="the newest here or directly below"
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The model file.", rich_help_panel=OUTPUT)
    ] = Path("stego.onnx"),
    precision: Annotated[
        Precision, typer.Option(help="Of the backbone and the head; see above.", rich_help_panel=MODEL)
    ] = "fp32",
    flip: Annotated[
        bool,
        typer.Option(
            "--flip",
            help="Average with the mirrored photograph: a little better, twice the time.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    overwrite: ReplaceOption = False,
    as_json: EventsOption = False,
) -> None:
    """Export a run."""
    from stego_cli.settings import ExportSettings
    from stego_cli.tasks.export import export
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    settings, ui = ExportSettings(precision, flip), Ui(as_json)
    result = export(run, out, settings, ui, overwrite)
    ui.event("exported", model=str(out), bytes=result.bytes)
    ui.note(f"{shown(out)}: {result.bytes / 1e6:.0f} MB, {precision}{', flip-averaged' if flip else ''}.")
