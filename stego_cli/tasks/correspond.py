"""Correspondences to look at in photographs, or to measure against labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stego_cli.errors import UsageError, setting
from stego_cli.images.atomic import require_writable_files, write_bytes
from stego_cli.images.ownership import require_ours_or_absent
from stego_cli.progress import Progress
from stego_cli.settings import DEFAULT_BACKBONE, check_res
from stego_cli.stop import NEVER, Stop
from stego_cli.text import shown

if TYPE_CHECKING:
    from stego_cli.correspond.describer import Describer
    from stego_cli.correspond.label_agreement import Agreement
    from stego_cli.training.context import RunContext

_PICTURE_OURS = re.compile(rb"\x89PNG.*Software\0stego", re.DOTALL)
VALUES_OURS = re.compile(rb'\s*\{\s*"names":')  # what the JSON text of the values begins with
_MOST_ROWS = 40  # of the picture, so that its size is bounded
_MOST_PHOTOS = 20_000  # that `limit` allows


@dataclass(frozen=True)
class CorrespondTask:
    """Which correspondences to draw: with `photos` and `at` those of points, with `data` how well they predict labels.

    Attributes:
        out: the picture, a PNG file.
        photos: a photograph with the points, and others to compare with it.
        at: points of the first photograph: x and y, pixels from its upper left corner, after EXIF orientation.
        data: a data set with imgs/`split` and labels/`split`.
        split: name of the split.
        run: a run, whose codes are used besides the features of its backbone.
        backbone: without a run: the backbone; None: the default one.
        res: shorter side at which photographs are described, pixels; None: the run's, or 320.
        limit: at most this many photographs of the data set are used.
        seed: of the choice of photographs and pixels from the data set.
        device: where to compute: auto, cpu, cuda, cuda:N or mps.
        overwrite: replace a file with the name of the picture that this tool did not write, too.
    """

    out: Path
    photos: tuple[Path, ...] = ()
    at: tuple[tuple[float, float], ...] = ()
    data: Path | None = None
    split: str = "val"
    run: Path | None = None
    backbone: str | None = None
    res: int | None = None
    limit: int = 500
    seed: int = 0
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if (self.data is None) == (not self.photos) or (self.data is not None and self.at):
            raise UsageError(f"Give photographs and {setting('at')}, or {setting('data')}.")
        if self.run is not None and self.backbone is not None:
            raise UsageError(f"A run has its own backbone: give {setting('run')} or {setting('backbone')}.")
        if self.photos and not self.at:
            raise UsageError("is missing: a point of the first photograph to draw correspondences of", field="at")
        if len(self.at) * len(self.photos) > _MOST_ROWS:
            raise UsageError(f"A picture has at most {_MOST_ROWS} rows: points times photographs.")
        check_res(self.res)
        if not 1 <= self.limit <= _MOST_PHOTOS:
            raise UsageError(f"must be 1 to {_MOST_PHOTOS}, got {self.limit}", field="limit")


@dataclass(frozen=True)
class CorrespondResult:
    """What was drawn.

    Attributes:
        out: the picture.
        names: by kind ("F" and, with a run, "S"): which backbone or run it is of.
        agreement: how well correspondences predict labels; None for points.
        values: what the picture shows, as plain data.
        failed: photographs that could not be decoded: path and reason.
    """

    out: Path
    names: dict[str, str]
    agreement: Agreement | None
    values: dict[str, Any]
    failed: list[tuple[Path, str]]


def correspond(task: CorrespondTask, progress: Progress, stop: Stop = NEVER) -> CorrespondResult:
    """Draw correspondences of points, or precision and recall of predicting labels by correspondences.

    Args:
        task: see CorrespondTask.
        progress: receives stages, and a warning for each photograph that is left out.
        stop: checked between photographs.

    Raises:
        UsageError: a point lies outside of the photograph, or there is no such run, backbone or device.
        NoInputError: the first photograph cannot be decoded, or no photograph of the data set has a label.
        ModelError: the run is damaged.
        WeightsError: the backbone's weights cannot be fetched.
        OutputError: the picture cannot be written.
        Stopped: a signal arrived.
    """
    require_ours_or_absent(task.out, _PICTURE_OURS, task.overwrite)
    require_writable_files(task.out)
    with stop.at_once():  # there is nothing to keep before the picture
        return _correspond(task, progress, stop)


def _correspond(task: CorrespondTask, progress: Progress, stop: Stop) -> CorrespondResult:
    from stego_cli.correspond.describer import open_describer
    from stego_cli.training.context import RunContext
    from stego_cli.training.device import torch_device

    context = RunContext(torch_device(task.device), task.out.parent, progress, stop)
    describer = open_describer(task.run, task.backbone or DEFAULT_BACKBONE, task.res, context.device, progress)
    picture, result = (_points if task.data is None else _labels)(task, describer, context)
    write_bytes(task.out, picture)
    for path, reason in result.failed:
        progress.warn(f"Left out {shown(path)}: {reason}.")
    return result


def _points(task: CorrespondTask, describer: Describer, context: RunContext) -> tuple[bytes, CorrespondResult]:
    from stego_cli.correspond.pictures import draw_maps
    from stego_cli.correspond.point_maps import best_patches, point_maps

    found, failed = point_maps(describer, task.photos, task.at, context)
    values = {
        "names": describer.names,
        "best": best_patches(found, task.at),
        "failed": [shown(path) for path, _ in failed],
    }
    picture = draw_maps(found, task.at, describer.names)
    return picture, CorrespondResult(task.out, describer.names, None, values, failed)


def _labels(task: CorrespondTask, describer: Describer, context: RunContext) -> tuple[bytes, CorrespondResult]:
    from stego_cli.correspond.label_agreement import as_json, label_agreement
    from stego_cli.correspond.pictures import draw_curves
    from stego_cli.datasets.layout import split_folders
    from stego_cli.images.discover import find_photos

    assert task.data is not None
    folders = split_folders(task.data, task.split)
    found = find_photos(folders.photos)
    paths = [found.root / photo.path for photo in found.photos]
    agreement = label_agreement(describer, folders, paths, task.limit, task.seed, context)
    values = {"names": describer.names, "split": task.split, "seed": task.seed, **as_json(agreement)}
    picture = draw_curves(agreement, describer.names)
    return picture, CorrespondResult(task.out, describer.names, agreement, values, agreement.failed)
