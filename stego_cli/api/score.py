"""`stego_cli.score`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.class_files import parse_classes, read_remap
from stego_cli.reading import Reading
from stego_cli.scoring.result import Score
from stego_cli.settings import Match, ScoreMode, ScoreSettings
from stego_cli.stop import NEVER
from stego_cli.tasks import score as task


def score(
    pred: PathName,
    gt: PathName,
    *,
    classes: int | PathName | None = None,
    ignore: int | Literal["none"] | None = None,
    remap: PathName | dict[int, int] | None = None,
    palette: PathName | None = None,
    match: Match = "hungarian",
    mode: ScoreMode = "honest",
    strict: bool = False,
    boundary: bool = True,
    report: PathName | None = None,
    photos: PathName | None = None,
    bands: str = "",
    stretch: str = "auto",
    accept_truncated: bool = False,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Reporting = None,
) -> Score:
    """Measure masks against labels, as `stego score` does: pred/x/a.png against gt/x/a.png.

    Args:
        pred: folder of predicted masks, PNGs of class numbers.
        gt: folder of labels of any lossless format, or a data set that `prepare` made.
        classes: a number, a file with one name a line, or "cocostuff27", "cityscapes", "voc2012", "potsdam3"; None:
            those of the data set, else as many as the labels use.
        ignore: label value of no class; "none": there is no such value; None: the data set's, else 255.
        remap: class of each label value (-1: no class), or a file of "label-value class" lines.
        palette: file of "RED GREEN BLUE NAME" lines, for labels that are colour pictures.
        match: how clusters are matched to classes: "hungarian" (one cluster a class, as many pixels as possible agree),
            "majority" (each cluster is the class of most of its pixels) or "identity" (numbers as they are).
        mode: "honest": predictions of no class are wrong; "stego": they are left out, as in the original code.
        strict: a mask of another size than its label fails, instead of being resized.
        boundary: compute the boundary F-score.
        report: HTML page to write, with pictures.
        photos: folder of photographs to show in the report; None: those of the data set.
        bands: of these photographs, from 1, such as "4,3,2"; "": the first three.
        stretch: which range of more than 8 bits becomes black to white: "auto", "none", "LOW,HIGH", or a percentage.
        accept_truncated: show what is there of photographs that are cut short.
        workers: processes that count pixels; None: one a core.
        overwrite: replace a file with the name of the report that this tool did not write, too.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        `miou`, `accuracy` (percent), `ious` of each class, the confusion matrix, and more; `failures` holds path and
        reason of each pair that could not be used.

    Raises:
        UsageError: settings make no sense, or the data set's dataset.json is broken.
        NoInputError: a folder is missing, or no mask has a label.
        OutputError: the report cannot be written.
    """
    settings = ScoreSettings(
        pred=Path(pred),
        gt=Path(gt),
        classes=None if classes is None else parse_classes(str(classes)),
        ignore="auto" if ignore is None else None if ignore == "none" else ignore,
        remap=remap if remap is None or isinstance(remap, dict) else read_remap(Path(remap)),
        palette=None if palette is None else Path(palette),
        match=match,
        mode=mode,
        strict=strict,
        boundary=boundary,
        report=None if report is None else Path(report),
        photos=None if photos is None else Path(photos),
        workers=workers,
        overwrite=overwrite,
        reading=Reading.parse(bands, stretch, accept_truncated),
    )
    return task.score(settings, reporter(progress), NEVER)
