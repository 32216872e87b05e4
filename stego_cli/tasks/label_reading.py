"""How labels that commands take become class numbers: by what was asked for, else by the data set that they are of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stego_cli.class_files import read_palette
from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.layout import labels_of_data
from stego_cli.images.label_files import ColourClasses

Ignore = int | Literal["auto"] | None


@dataclass(frozen=True)
class LabelReading:
    """How labels are read.

    Attributes:
        table: the classes; None: they have no names.
        ignore: label value of no class; None: there is none.
        colours: classes of colours; None: labels are numbers.
        photos: folder of the data set's photographs; None: the labels are of no data set.
    """

    table: ClassTable | None
    ignore: int | None
    colours: ColourClasses | None
    photos: Path | None


def label_reading(
    labels: Path, classes: ClassTable | None, ignore: Ignore, remap: dict[int, int] | None, palette: Path | None
) -> LabelReading:
    """Return how a folder of labels is read.

    With a remapping label values change, so the data set's classes do not apply.

    Args:
        labels: the folder.
        classes: names and colours; None: the data set's, if there is one.
        ignore: label value of no class; None: there is none; "auto": the classes' own, else 255.
        remap: label value to class; None: label values are classes.
        palette: file of colours and names, for labels that are colour pictures.

    Raises:
        UsageError: the data set's dataset.json is broken, or the palette cannot be read.
    """
    about, photos = labels_of_data(labels)
    table = classes or (about.table if about and remap is None else None)
    colours = None
    if palette is not None:
        of_colour, own = read_palette(palette)
        colours, table = ColourClasses(of_colour), classes or own
    if ignore == "auto":
        ignore = table.void if table else VOID
    return LabelReading(table, ignore, colours, photos)
