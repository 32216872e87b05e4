"""Files beside labels in which common tools write names, values and colours of the classes."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.source import Files
from stego_cli.errors import SourceError
from stego_cli.palette import Colour

_BACKGROUND = {"_background_": "background", "__background__": "background"}  # of labelme
_IGNORED = ("__ignore__", "_ignore_", "void", "ignore", "unlabelled", "unlabeled")


@dataclass(frozen=True)
class ClassList:
    """Classes as a tool lists them.

    Attributes:
        file: name in the source.
        table: the classes.
        colours: class of each colour, 255 for void; empty if labels have numbers.
        values: label value of each class; empty if it is the class itself.
    """

    file: str
    table: ClassTable
    colours: dict[Colour, int] = field(default_factory=dict)
    values: tuple[int, ...] = ()


def find_class_list(files: Files) -> ClassList | None:
    """Return the first list of classes in the source that can be parsed, the one nearest to its root."""
    for name in sorted(files, key=lambda name: (name.count("/"), name)):
        file = name.rpartition("/")[2].lower()
        for pattern, parse in _PARSERS:
            if re.fullmatch(pattern, file):
                try:
                    found = parse(name, files.lines(name))
                except (SourceError, ValueError, csv.Error):
                    continue
                if found is not None and 0 < len(found.table.names) <= VOID:
                    return found
    return None


def _of_colours(file: str, rows: Iterable[tuple[str, list[str]]]) -> ClassList | None:
    """Make a list out of names and colours; the names of void take no number."""
    colours: dict[Colour, int] = {}
    names: list[str] = []
    own: list[Colour] = []
    for name, values in rows:
        red, green, blue = map(int, values)
        colour = (red, green, blue)
        if colour in colours or not all(0 <= value < 256 for value in colour):
            return None
        if name.lower() in _IGNORED:
            colours[colour] = VOID
        else:
            colours[colour] = len(names)
            names.append(_BACKGROUND.get(name, name))
            own.append(colour)
    return ClassList(file, ClassTable(tuple(names), tuple(own)), colours) if names else None


def _cvat(file: str, lines: list[str]) -> ClassList | None:
    """Parse CVAT's labelmap.txt: lines of label:color_rgb:parts:actions."""
    rows = [line.split(":") for line in lines if not line.startswith("#")]
    return _of_colours(file, [(row[0], row[1].split(",")) for row in rows if len(row) >= 2 and row[1]])


def _table(file: str, lines: list[str]) -> ClassList | None:
    """Parse a CSV file with the columns name, r, g, b, or pixel value and class (Roboflow)."""
    header, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    columns = {re.sub(r"[ _]", "", cell.lower()): index for index, cell in enumerate(header)}
    name = next((columns[each] for each in ("name", "class", "label", "classname") if each in columns), None)
    if name is None:
        return None
    rgb = [columns.get(short, columns.get(long)) for short, long in (("r", "red"), ("g", "green"), ("b", "blue"))]
    if None not in rgb:
        return _of_colours(file, [(row[name], [row[index] for index in rgb if index is not None]) for row in rows])
    value = next((columns[each] for each in ("pixelvalue", "value", "id", "index") if each in columns), None)
    if value is None:
        return None
    named = sorted((int(row[value]), row[name]) for row in rows if row[name].lower() not in _IGNORED)
    return ClassList(file, ClassTable(tuple(name for _, name in named)), values=tuple(each for each, _ in named))


def _colour_lines(file: str, lines: list[str]) -> ClassList | None:
    """Parse lines of red, green, blue and a name (CamVid)."""
    rows = [re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(.+)", line) for line in lines]
    return None if None in rows else _of_colours(file, [(row[4], [row[1], row[2], row[3]]) for row in rows if row])


def _names(file: str, lines: list[str]) -> ClassList | None:
    """Parse one name a line (labelme); __ignore__ takes no number."""
    names = tuple(_BACKGROUND.get(line, line) for line in lines if line.lower() not in _IGNORED)
    return ClassList(file, ClassTable(names)) if len(set(names)) == len(names) else None


_PARSERS: tuple[tuple[str, Callable[[str, list[str]], ClassList | None]], ...] = (
    (r"label_?map\.txt", _cvat),
    (r".*class.*\.csv|.*label.*\.csv", _table),
    (r"label_?colou?rs?\.txt", _colour_lines),
    (r"class_?names\.txt|classes\.txt|labels\.txt", _names),
)
