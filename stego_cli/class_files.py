"""Classes, remappings and palettes as users write them: texts of the command line, and small text files."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stego_cli.classes import LARGEST_ID, MOST_CLASSES, TABLES, VOID, ClassTable, numbered
from stego_cli.errors import UsageError
from stego_cli.palette import Colour
from stego_cli.regular_file import read_regular
from stego_cli.text import shown

_NO_CLASS = ("ignore", "void", "none", "-1")  # targets of a remapping that mean "no class"
_VOID_NAMES = ("void", "ignore")  # names of colours without a class
_LARGEST = 64 << 20  # bytes of a file


def parse_classes(text: str) -> ClassTable:
    """Return the classes that `text` names: a number, a data set, or a file with one name a line.

    Raises:
        UsageError: it is none of these.
    """
    if text.isdecimal():
        count = int(text)
        if not 1 <= count <= MOST_CLASSES:
            raise UsageError(f"must be 1 to {MOST_CLASSES}, got {count}", field="classes")
        return numbered(count)
    if text in TABLES:
        return TABLES[text]
    known = f"Give a number, a file with one name a line, or one of {', '.join(TABLES)}."
    names = [line.strip() for line in _read(Path(text), "classes", known).splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names:
        # With an empty line in between it is unclear which id the next class has.
        raise UsageError(
            f"{shown(text)} must hold one class name a line, without empty lines in between.", field="classes"
        )
    if len(names) > MOST_CLASSES:
        raise UsageError(
            f"{shown(text)} has {len(names)} lines; at most {MOST_CLASSES} classes are possible.", field="classes"
        )
    return ClassTable(tuple(names))


def parse_ignore(text: str) -> int | None:
    """Return the label value to ignore, or None for the word "none".

    Raises:
        UsageError: it is neither that word nor a number.
    """
    if text == "none":
        return None
    if not text.isdecimal():
        raise UsageError(f"must be a label value, such as 255, or none, got {text!r}", field="ignore")
    return int(text)


def parse_void(text: str) -> tuple[int, ...]:
    """Return the label values without a class: numbers separated by commas, or none for the word "none".

    Raises:
        UsageError: it is neither.
    """
    if text == "none":
        return ()
    values = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) <= LARGEST_ID for part in values):
        raise UsageError(f"must be label values, such as 0 or 0,255, or none, got {text!r}", field="void")
    return tuple(dict.fromkeys(map(int, values)))


def read_remap(file: Path) -> dict[int, int]:
    """Return the remapping in a file: label value to class, -1 for no class.

    The file is a JSON object ({"7": 0, "8": 1, "4": "ignore"}), or text with a pair a line ("7 0", "7, 0", "7: 0" and
    "7 -> 0" are the same; ranges such as "9-12 2" are allowed; "#" begins a comment).

    Raises:
        UsageError: the file cannot be read or parsed, or maps a value twice.
    """
    content = _read(file, "remap")
    pairs = _json_pairs(content, file) if content.lstrip().startswith("{") else _line_pairs(content, file)
    remap: dict[int, int] = {}
    for low, high, target in pairs:
        if not 0 <= low <= high <= LARGEST_ID or target >= MOST_CLASSES:
            raise UsageError(
                f"{shown(file)} maps {low} to {target}; values are 0 to {LARGEST_ID}, classes below {MOST_CLASSES}.",
                field="remap",
            )
        for value in range(low, high + 1):
            if remap.setdefault(value, target) != target:
                raise UsageError(f"{shown(file)} maps {value} to {remap[value]} and to {target}.", field="remap")
    if not remap:
        raise UsageError(f"{shown(file)} maps nothing.", field="remap")
    return remap


def read_palette(file: Path) -> tuple[dict[Colour, int], ClassTable]:
    """Return the class of each colour in a palette file, and the classes.

    A line is "RED GREEN BLUE NAME" (0 to 255), "#RRGGBB NAME", or "NAME:RED,GREEN,BLUE::" as in CVAT's labelmap.txt;
    line 1 is class 0. A line named void or ignore takes no number. Empty lines, and the title of a labelmap.txt, are
    skipped.

    Raises:
        UsageError: the file cannot be read or parsed.
    """
    colours: dict[Colour, int] = {}
    names: list[str] = []
    own: list[Colour] = []
    for number, line in enumerate(_read(file, "palette").splitlines(), 1):
        if not line.strip() or line.startswith("# label:"):
            continue
        colour, name = _palette_line(line)
        if colour is None or colour in colours:
            raise UsageError(
                f"{shown(file)} cannot be parsed at line {number}.",
                'A line is "RED GREEN BLUE NAME" or "#RRGGBB NAME", each colour once.',
                field="palette",
            )
        if name.lower() in _VOID_NAMES:
            colours[colour] = VOID
        else:
            colours[colour] = len(names)
            names.append(name or f"class {len(names)}")
            own.append(colour)
    if not names or len(names) > VOID:
        raise UsageError(f"{shown(file)} has {len(names)} classes; it must have 1 to {VOID}.", field="palette")
    return colours, ClassTable(tuple(names), tuple(own))


def _json_pairs(content: str, file: Path) -> list[tuple[int, int, int]]:
    try:
        loaded = json.loads(content, object_pairs_hook=list)  # a dict would hide a key that is there twice
    except ValueError as error:
        raise UsageError(f"{shown(file)} is not JSON: {error}.", field="remap") from error
    return [_pair(str(key), str(value), f"{key}: {value}", file) for key, value in loaded]


def _line_pairs(content: str, file: Path) -> list[tuple[int, int, int]]:
    pairs = []
    for number, line in enumerate(content.splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            left, _, right = re.sub(r"\s*(->|=>|[=:,;\s])\s*", " ", text, count=1).partition(" ")
            pairs.append(_pair(left, right, f"line {number}", file))
    return pairs


def _pair(left: str, right: str, where: str, file: Path) -> tuple[int, int, int]:
    source = re.fullmatch(r"(\d+)(?:-(\d+))?", left.strip())
    target = right.strip().lower()
    if source is None or not (target.isdecimal() or target in _NO_CLASS):
        raise UsageError(
            f"{shown(file)} cannot be parsed at {where}.",
            'A line is "label-value class", such as "7 0".',
            field="remap",
        )
    low = int(source[1])
    return low, int(source[2] or low), -1 if target in _NO_CLASS else int(target)


def _palette_line(line: str) -> tuple[Colour | None, str]:
    if found := re.fullmatch(r"\s*#([0-9a-fA-F]{6})\b\s*(.*?)\s*", line):
        red, green, blue = bytes.fromhex(found[1])
        return (red, green, blue), found[2]
    if found := re.fullmatch(r"\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\b[\s,]*(.*?)\s*", line):
        red, green, blue = (int(found[at]) for at in (1, 2, 3))
        if max(red, green, blue) < 256:
            return (red, green, blue), found[4]
    if found := re.fullmatch(r"\s*([^:]+):(\d+),(\d+),(\d+):[^:]*:[^:]*", line):
        red, green, blue = (int(found[at]) for at in (2, 3, 4))
        if max(red, green, blue) < 256:
            return (red, green, blue), found[1]
    return None, ""


def _read(file: Path, field: str, remedy: str | None = None) -> str:
    try:
        return read_regular(file, _LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{shown(file)} cannot be read: {reason}.", remedy, field=field) from error
