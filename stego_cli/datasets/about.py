"""`dataset.json`: the description of a data set, beside its photographs, from which commands take its classes.

| key | |
|---|---|
| `stego_dataset` | version of this format |
| `name` | data set, as `stego prepare` names it |
| `classes` | list of `name` and `colour` (RGB); class i is the i-th; empty without labels |
| `void` | label value of pixels without a class |
| `values` | label value of each class in the source, if these were not 0, 1, 2 and so on |
| `splits` | by name: `photographs`, `labels`, `pixels` and `images` (lists by class: pixels; labels with any), `void` |
| `prepared` | what it was made from, and how |
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from stego_cli.checked_json import LIMIT, parse
from stego_cli.classes import VOID, ClassTable
from stego_cli.errors import UsageError
from stego_cli.regular_file import open_regular
from stego_cli.text import shown

FILE = "dataset.json"
VERSION = 1
_UPWARDS = 3  # folders above, so that DATA/labels/val/x is found to belong to DATA


Count = Annotated[int, Meta(ge=0)]


@dataclass
class Split:
    """Counts of one split: `pixels` and `images` have an entry for each class."""

    photographs: Count = 0
    labels: Count = 0
    pixels: list[Count] = field(default_factory=list)
    images: list[Count] = field(default_factory=list)
    void: Count = 0


@dataclass(frozen=True)
class About:
    """The content of `dataset.json`; `table` is None without labels, `values` empty if they are the classes."""

    name: str
    table: ClassTable | None
    splits: dict[str, Split]
    prepared: dict[str, object]
    values: tuple[int, ...] = ()

    def as_json(self) -> str:
        """Return the file's text."""
        classes = zip(self.table.names, self.table.colours, strict=True) if self.table else ()
        content = {
            "stego_dataset": VERSION,
            "name": self.name,
            "classes": [{"name": name, "colour": list(colour)} for name, colour in classes],
            "void": self.table.void if self.table else VOID,
            **({"values": list(self.values)} if self.values else {}),
            "splits": {name: vars(split) for name, split in self.splits.items()},
            "prepared": self.prepared,
        }
        text = json.dumps(content, indent=1)
        # Lists of numbers are written on one line, for people who read the file.
        return re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\n\s*", " ", found[0]), text) + "\n"


_Byte = Annotated[int, Meta(ge=0, le=255)]


class _Version(Struct):
    stego_dataset: int


class _Class(Struct):
    name: str
    colour: tuple[_Byte, _Byte, _Byte]


class _Content(Struct):
    """The schema of the file."""

    name: str
    classes: Annotated[list[_Class], Meta(max_length=65536)]
    void: Annotated[int, Meta(ge=0, le=65535)]
    splits: dict[str, Split]
    prepared: dict[str, object]
    values: tuple[Annotated[int, Meta(ge=0, le=65535)], ...] = ()


def read_about(root: Path) -> About | None:
    """Return the content of `root`/dataset.json; None if there is none, or it is not ours.

    Raises:
        UsageError: it is ours and broken.
    """
    file = root / FILE
    try:
        with open_regular(file) as unbuffered, io.BufferedReader(unbuffered) as stream:
            text = stream.read(LIMIT + 1)
    except OSError:
        return None
    if b'"stego_dataset"' not in text:
        return None
    try:
        if (version := parse(text, _Version).stego_dataset) > VERSION:
            raise UsageError(f"{shown(file)} is of a newer version of this tool.", "Update it, or prepare again.")
        if version != VERSION:
            raise ValueError(f"its version is {version}")
        content = parse(text, _Content)
        for split in content.splits.values():
            if not len(split.pixels) == len(split.images) == len(content.classes):
                raise ValueError("it has counts of other classes")
    except ValueError as error:
        raise UsageError(f"{shown(file)} is broken ({error}).", "Prepare the data set again.") from error
    names, colours = tuple(each.name for each in content.classes), tuple(each.colour for each in content.classes)
    table = ClassTable(names, colours, content.void) if names else None
    return About(content.name, table, content.splits, content.prepared, content.values)


def find_about(folder: Path) -> tuple[Path, About] | None:
    """Return the data set that `folder` is or belongs to, with its root; None if there is none."""
    place = folder.absolute()
    for root in (place, *place.parents[:_UPWARDS]):
        if about := read_about(root):
            return root, about
    return None
