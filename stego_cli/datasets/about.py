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

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.classes import VOID, ClassTable
from stego_cli.errors import UsageError
from stego_cli.text import shown

FILE = "dataset.json"
VERSION = 1
_UPWARDS = 3  # folders above, so that DATA/labels/val/x is found to belong to DATA


@dataclass
class Split:
    """Counts of one split: `pixels` and `images` have an entry for each class."""

    photographs: int = 0
    labels: int = 0
    pixels: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    void: int = 0


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


def read_about(root: Path) -> About | None:
    """Return the content of `root`/dataset.json; None if there is none, or it is not ours.

    Raises:
        UsageError: it is ours and broken.
    """
    file = root / FILE
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if '"stego_dataset"' not in text:
        return None
    try:
        content = json.loads(text)
        if content["stego_dataset"] != VERSION:
            raise UsageError(f"{shown(file)} is of a newer version of this tool.", "Update it, or prepare again.")
        names = tuple(str(each["name"]) for each in content["classes"])
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in map(_colour, content["classes"]))
        splits = {name: Split(**counts) for name, counts in content["splits"].items()}
        table = ClassTable(names, colours, int(content["void"])) if names else None
        values = tuple(int(value) for value in content.get("values", ()))
        return About(str(content["name"]), table, splits, dict(content["prepared"]), values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{shown(file)} is broken ({error}).", "Prepare the data set again.") from error


def _colour(entry: dict[str, list[int]]) -> list[int]:
    return entry["colour"]


def find_about(folder: Path) -> tuple[Path, About] | None:
    """Return the data set that `folder` is or belongs to, with its root; None if there is none."""
    place = folder.absolute()
    for root in (place, *place.parents[:_UPWARDS]):
        if about := read_about(root):
            return root, about
    return None
