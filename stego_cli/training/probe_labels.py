"""Labels for the linear probe: read once and kept as a few labelled points per photograph.

The head and the cluster probe never use labels: they learn from the photographs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stego_cli.classes import VOID
from stego_cli.datasets.layout import Folders
from stego_cli.errors import PhotoError
from stego_cli.images.ids import Ids, read_ids
from stego_cli.progress import Progress
from stego_cli.text import shown

_POINTS = 1024  # per photograph at most; the probe is small, and neighbouring pixels are redundant
_ALL_POINTS = 500_000


@dataclass(frozen=True)
class LabelledPoints:
    """Points of photographs with known classes; the same number for each photograph.

    Attributes:
        photos: int64 (M,), index of the view (a photograph, or a crop of one).
        places: float32 (M, 2), x and y as shares of the view's width and height, 0 to 1.
        classes: int64 (M,).
        count: number of classes.
    """

    photos: Tensor
    places: Tensor
    classes: Tensor
    count: int


def read_labels(
    photos: list[Path], folders: Folders, generator: torch.Generator, progress: Progress, shares: Tensor | None = None
) -> LabelledPoints | None:
    """Read the label of each view's photograph and draw points from the labelled pixels that the view shows.

    Labels may be missing, broken, or void in part or whole: that is reported, and never fails.

    Args:
        photos: the photograph of each of N views.
        folders: where the labels lie. Void is 255, or the void value of the data set's table; with a table, values
            beyond its classes are void too.
        generator: source of all randomness.
        progress: shows a stage, and warnings about labels that cannot be used.
        shares: float32 (N, 4), the part of the photograph that each view shows: left, top, right, bottom, 0 to 1; None:
            all of it.

    Returns:
        The points, or None if no pixel has a class.
    """
    void_value = folders.table.void if folders.table else VOID
    known = len(folders.table.names) if folders.table else None
    missing, void, largest = 0, 0, -1
    points = max(1, min(_POINTS, _ALL_POINTS // len(photos)))
    drawn: list[tuple[int, Tensor, Tensor]] = []
    with progress.stage("Reading labels", len(photos), unit="labels") as stage:
        for index, photo in enumerate(photos):
            stage.advance()
            file = folders.label_of(photo)
            if file is None or not file.is_file():
                missing += 1
                continue
            try:
                ids = read_ids(file) if shares is None else _shown_part(read_ids(file), shares[index].tolist())
            except PhotoError as error:
                missing += 1
                progress.warn(f"The label {shown(file)} cannot be used: {error.message}.")
                continue
            labelled = ids != void_value
            rows, columns = np.nonzero(labelled if known is None else labelled & (ids < known))
            if not len(rows):
                void += 1
                continue
            if (top := int(ids[rows, columns].max())) > VOID:
                missing += 1
                progress.warn(f"The label {shown(file)} cannot be used: it has class {top}; classes are 0 to 254.")
                continue
            chosen = torch.randint(len(rows), (points,), generator=generator).numpy()
            y, x = rows[chosen], columns[chosen]
            size = np.array(ids.shape[::-1])
            places = torch.from_numpy(((np.stack([x, y], axis=1) + 0.5) / size).astype(np.float32))
            drawn.append((index, places, torch.from_numpy(ids[y, x].astype(np.int64))))
            largest = max(largest, top)
    if missing or void:
        progress.note(f"Labels: {len(drawn)} of {len(photos)} usable, {missing} missing or broken, {void} void.")
    if not drawn:
        return None
    return LabelledPoints(
        photos=torch.cat([torch.full((points,), index) for index, _, _ in drawn]),
        places=torch.cat([places for _, places, _ in drawn]),
        classes=torch.cat([classes for _, _, classes in drawn]),
        count=known or largest + 1,
    )


def _shown_part(ids: Ids, share: list[float]) -> Ids:
    left, top, right, bottom = share
    height, width = ids.shape
    rows = slice(round(top * height), max(round(top * height) + 1, round(bottom * height)))
    columns = slice(round(left * width), max(round(left * width) + 1, round(right * width)))
    return ids[rows, columns]
