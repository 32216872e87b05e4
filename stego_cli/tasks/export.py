"""A run to one model file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stego_cli.images.ownership import require_ours_or_absent
from stego_cli.inference.contract import OURS
from stego_cli.progress import Progress
from stego_cli.settings import ExportSettings
from stego_cli.text import shown


@dataclass(frozen=True)
class ExportResult:
    """The run that was exported, the model file, and its size in bytes."""

    run: Path
    file: Path
    bytes: int


def export(
    run: Path | None, out: Path, settings: ExportSettings, progress: Progress, overwrite: bool = False
) -> ExportResult:
    """Export a run, or the newest one in the current folder or directly below it.

    Args:
        run: folder that training wrote; None: the newest.
        out: the model file; it appears only if it computes what the run does.
        settings: precision and flip averaging.
        progress: shown a stage.
        overwrite: replace a file of that name that this tool did not write, too.

    Raises:
        UsageError: there is no such run, or a file that this tool did not write has the name.
        ModelError: the checkpoint is damaged, or the exported model does not compute the same.
        OutputError: the file cannot be written.
    """
    from export import export_onnx
    from stego_cli.model.checkpoint import newest_run

    require_ours_or_absent(out, OURS, overwrite)
    chosen = run or newest_run(Path())
    if run is None:
        progress.note(f"Exporting {shown(chosen)}.")
    export_onnx(chosen, out, settings, progress)
    return ExportResult(chosen, out, out.stat().st_size)
