"""`stego export-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HELP = """Write a run as one ONNX file: backbone, head and probes, for any batch and any size in whole patches.

Torch and ONNX Runtime are compared on several shapes first; if they differ, nothing is written (exit code 5).
RUN is the newest run in this folder or directly below it, if not given.

\b
Examples:
  stego export-onnx
  stego export-onnx run --out street.onnx --flip
  stego export-onnx run --precision fp16
  stego export-onnx run --precision int8 --out fast.onnx
"""


def command(
    run: Annotated[Path | None, typer.Argument(help="Folder that `stego train` wrote.", show_default="newest")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The model file.")] = Path("stego.onnx"),
    precision: Annotated[
        str, typer.Option(help="fp32, fp16 (half the size; for GPUs) or int8 (faster on CPUs, not the same masks).")
    ] = "fp32",
    flip: Annotated[
        bool, typer.Option("--flip", help="Average with the mirrored photograph: a little better, twice the time.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,
) -> None:
    """Export a checkpoint."""
    from stego_cli.settings import ExportSettings
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    settings = ExportSettings(precision, flip)
    ui = Ui(as_json)
    from export import export_onnx
    from stego_cli.model.checkpoint import newest_run

    chosen = run or newest_run(Path())
    if run is None:
        ui.note(f"Exporting {shown(chosen)}.")
    export_onnx(chosen, out, settings, ui)
    ui.event("exported", model=str(out), bytes=out.stat().st_size)
    ui.note(f"{shown(out)}: {out.stat().st_size / 1e6:.0f} MB, {precision}{', flip-averaged' if flip else ''}.")
