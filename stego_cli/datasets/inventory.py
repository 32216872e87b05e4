"""What the module of a data set finds in a source: photographs, their labels, and how to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import ClassTable
from stego_cli.palette import Colour

ClassMap = NDArray[np.uint8]  # (H, W), classes, 255 for void
Piece = tuple[str, Image.Image, ClassMap | None]  # suffix of the name, RGB, labels of the same size

UNLABELLED = "unlabelled"  # name of the split of photographs that belong to no official one


@dataclass(frozen=True, slots=True)
class Item:
    """A photograph: its split, its name in the data set ("x/a", unique in the split), and its files in the source."""

    split: str
    name: str
    photo: str
    labels: tuple[str, ...] = ()  # nearly always one; none without a label
    drawn: bool = False  # it has a label that is in no file of its own

    @property
    def key(self) -> str:
        """What identifies it in the data set."""
        return f"{self.split}/{self.name}"


@dataclass
class Inventory:
    """A data set as its module found it in the source.

    Attributes:
        items: all photographs.
        table: the classes; None if only the labels can tell.
        read_label: from an item and the contents of its label files to classes, uint8 (H, W); raises PhotoError.
        as_is: `read_label` changes nothing, so a label file with the right palette is copied.
        read_photo: from a file's content to RGB, for formats that viewers cannot open; None: photographs are copied.
        cut: cuts a photograph into pieces that replace it, each with a suffix for its name; None: they stay whole.
        colours: of the masks, where `table` is None.
        values: label value of each class in the source, where they are not 0, 1, 2 and so on.
        notes: what the user should know about what was found.
        sides: split of each photograph by the hash of its content, to be kept for the next time.
        strict: a broken file means that the source is broken, and ends the run; else it is left out and listed.
    """

    items: list[Item]
    table: ClassTable | None
    read_label: Callable[[Item, list[bytes]], ClassMap]
    as_is: bool = False
    read_photo: Callable[[bytes], Image.Image] | None = None
    cut: Callable[[Image.Image, ClassMap | None], Iterable[Piece]] | None = None
    colours: list[Colour] = field(default_factory=list)
    values: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)
    sides: dict[str, str] = field(default_factory=dict)
    strict: bool = True
