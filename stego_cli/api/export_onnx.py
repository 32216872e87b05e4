"""`stego_cli.export_onnx`."""

from __future__ import annotations

from pathlib import Path

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.settings import ExportSettings, Precision
from stego_cli.tasks.export import ExportResult, export


def export_onnx(
    run: PathName | None = None,
    *,
    out: PathName = "stego.onnx",
    precision: Precision = "fp32",
    flip: bool = False,
    overwrite: bool = False,
    progress: Reporting = None,
) -> ExportResult:
    """Write a run as one ONNX file, as `stego export-onnx` does: backbone, head and probes, for any batch and size.

    Args:
        run: folder that `train` wrote; None: the newest in the current folder or directly below it.
        out: the model file; it is written only if it computes what the run does.
        precision: "fp32"; "fp16": half the size, for GPUs; "int8": faster on CPUs, its masks differ a little.
        flip: average with the mirrored photograph: a little better, twice the time.
        overwrite: replace a file of that name that this tool did not write, too.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        The run, the model file, and its size in bytes.

    Raises:
        UsageError: there is no such run.
        ModelError: the checkpoint is damaged, or the exported model does not compute the same.
        OutputError: the file cannot be written.
    """
    settings = ExportSettings(precision, flip)
    return export(None if run is None else Path(run), Path(out), settings, reporter(progress), overwrite)
