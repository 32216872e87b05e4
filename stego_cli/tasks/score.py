"""Measure masks against labels: from the folders to metrics, JSON and a report."""

from __future__ import annotations

from pathlib import Path

from stego_cli import page
from stego_cli.classes import VOID
from stego_cli.datasets.layout import scored_folders
from stego_cli.errors import UsageError, setting
from stego_cli.images.atomic import require_writable_files, write_bytes
from stego_cli.images.ownership import require_ours_or_absent
from stego_cli.progress import Progress
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.confusion import UNKNOWN_CLASSES, make_grid
from stego_cli.scoring.report_pictures import draw_extremes
from stego_cli.scoring.result import OURS, Score, as_json
from stego_cli.scoring.score_folders import score_folders
from stego_cli.scoring.score_report import report_page
from stego_cli.settings import ScoreSettings
from stego_cli.stop import Stop
from stego_cli.tasks.label_reading import label_reading

_EXTREMES = 4  # best and worst photographs in a report, each


def score(settings: ScoreSettings, progress: Progress, stop: Stop) -> Score:
    """Score a folder of masks against a folder of labels, or against a data set.

    Raises:
        NoInputError: a folder is missing, or no mask has a label.
        UsageError: the data set's dataset.json is broken, 255 is the only label value beside one other, or a file that
            this tool did not write would be replaced.
        OutputError: the JSON file or the report cannot be written.
        Stopped: a signal came.
    """
    require_ours_or_absent(settings.json_file, OURS, settings.overwrite)
    require_ours_or_absent(settings.report, page.OURS, settings.overwrite)
    require_writable_files(settings.json_file, settings.report)
    comparison, photos = resolve(settings)
    result = score_folders(comparison, settings.workers, progress, stop)
    decided = settings.remap is not None or settings.palette is not None or comparison.table is not settings.classes
    if settings.ignore == "auto" and not decided:
        _refuse_255_as_void_of_binary_labels(result)
    if settings.json_file is not None:
        write_bytes(settings.json_file, as_json(result).encode())
    if settings.report is not None:
        html = report_page(result, draw_extremes(result, comparison, photos, settings.reading))
        write_bytes(settings.report, html.encode())
    return result


def resolve(settings: ScoreSettings) -> tuple[Comparison, Path | None]:
    """Return what is compared, and the folder of the photographs, None if it is unknown.

    Labels of a prepared data set have its classes, its void value and its photographs, unless the settings have others.
    With a remapping label values change, so the data set's classes do not apply.
    """
    pred, gt = scored_folders(settings.pred, settings.gt)
    read = label_reading(gt, settings.classes, settings.ignore, settings.remap, settings.palette)
    comparison = Comparison(
        pred=pred,
        gt=gt,
        table=read.table,
        grid=make_grid(len(read.table.names) if read.table else UNKNOWN_CLASSES, read.ignore, settings.remap),
        match=settings.match,
        mode=settings.mode,
        colours=read.colours,
        strict=settings.strict,
        boundary=settings.boundary,
        extremes=0 if settings.report is None else _EXTREMES,
    )
    return comparison, settings.photos or read.photos


def _refuse_255_as_void_of_binary_labels(result: Score) -> None:
    """Refuse labels with one value beside 255: as void it would leave one class, which every mask gets right."""
    used = [index for index, count in enumerate(result.pixels.tolist()) if count]
    if len(used) == 1 and VOID in result.left_out:
        raise UsageError(
            f"The labels have no values but {used[0]} and {VOID}, so {VOID} is probably a class, and not void.",
            f'If so, give {setting("remap")} a file with the lines "{used[0]} 0" and "{VOID} 1". '
            f"If not, give {setting('ignore', VOID)}.",
        )
