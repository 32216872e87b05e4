"""CSV: `areas.csv`, a line for each class in each photograph with its pixels and its share."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from stego_cli.classes import VOID
from stego_cli.gallery.formats.common import ClassRow, PhotoLabels, Shaping, write_file
from stego_cli.gallery.formats.world import counts_of_raster

FILE = "areas.csv"
_COLUMNS = ("photograph", "class", "value", "pixels", "share")


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> list[tuple[object, ...]]:
    """Return the lines of one photograph."""
    if photo.raster is not None:
        values = counts_of_raster(photo.raster)
        classified = [int(values[row.value]) for row in classes]
        counts = np.array([*classified, *[0] * (VOID - len(classes)), values.sum() - sum(classified)])
    else:
        counts = np.bincount(photo.labels.ravel(), minlength=VOID + 1)
    size = int(counts.sum())
    rows = [
        (photo.path, row.name, row.value, int(counts[index]), round(counts[index] / size, 6))
        for index, row in enumerate(classes)
    ]
    void = (photo.path, "void", VOID, int(counts[VOID]), round(counts[VOID] / size, 6))
    return [*rows, void] if counts[VOID] else [*rows]


def write(
    encoded: Iterable[list[tuple[object, ...]]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write the table."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(_COLUMNS)
    for rows in encoded:
        writer.writerows(rows)
    write_file(out, FILE, stream.getvalue().encode("utf-8"))
