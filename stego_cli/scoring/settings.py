"""Everything that decides a score, and how the texts of the command line become it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from stego_cli.classes import TABLES, VOID, ClassTable, numbered
from stego_cli.errors import UsageError

MATCHES = ("hungarian", "identity", "majority")
MODES = ("honest", "stego")
MOST_CLASSES = 4096  # a confusion matrix of that many classes takes 134 MB
_LARGEST_ID = 65535  # of a 16-bit PNG
_NO_CLASS = ("ignore", "void", "none", "-1")  # targets of a remapping that mean "of no class"


@dataclass(frozen=True)
class ScoreSettings:
    """Everything that decides a score, given the masks and the labels, and how the counting is done."""

    pred: Path
    gt: Path
    table: ClassTable | None = None  # None: as many classes as the labels use
    ignore: int | None = VOID  # label value that is of no class; None: there is no such value
    remap: dict[int, int] | None = None  # label value to class, -1 for none; values not listed are of no class
    match: str = "hungarian"
    mode: str = "honest"
    strict: bool = False  # a prediction of another size than its label fails, instead of being resized
    boundary: bool = True  # compute the boundary F-score
    workers: int | None = None  # processes; None: one a core
    extremes: int = 0  # so many best and so many worst photographs are looked up afterwards

    def __post_init__(self) -> None:
        if self.match not in MATCHES:
            raise UsageError(f"--match is {self.match!r}; it is one of {', '.join(MATCHES)}.")
        if self.mode not in MODES:
            raise UsageError(f"--mode is {self.mode!r}; it is 'honest' or 'stego'.")
        if self.ignore is not None and not 0 <= self.ignore <= _LARGEST_ID:
            raise UsageError(f"--ignore is {self.ignore}; it is a label value, 0 to {_LARGEST_ID}, or none.")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers is {self.workers}; it must be at least 1.")


def parse_classes(text: str) -> ClassTable:
    """Return the classes that `text` names: a number, a data set, or a file with one name a line.

    Raises:
        UsageError: it is none of these.
    """
    if text.isdecimal():
        count = int(text)
        if not 1 <= count <= MOST_CLASSES:
            raise UsageError(f"--classes is {count}; 1 to {MOST_CLASSES} classes can be scored.")
        return numbered(count)
    if text in TABLES:
        return TABLES[text]
    names = [line.strip() for line in _read(Path(text), "--classes").splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names:
        # An empty line in between would shift every id after it, or not: nobody can tell.
        raise UsageError(f"{text} must hold one class name a line, without empty lines in between.")
    if len(names) > MOST_CLASSES:
        raise UsageError(f"{text} holds {len(names)} lines; 1 to {MOST_CLASSES} classes can be scored.")
    return ClassTable(tuple(names))


def parse_ignore(text: str) -> int | None:
    """Return the label value to ignore, or None for the word "none".

    Raises:
        UsageError: it is neither that word nor a number.
    """
    if text == "none":
        return None
    if not text.isdecimal():
        raise UsageError(f"--ignore is {text!r}; it is a label value, such as 255, or none.")
    return int(text)


def read_remap(file: Path) -> dict[int, int]:
    """Return the remapping in `file`: label value to class, -1 where the file says "ignore".

    The file is a JSON object ({"7": 0, "8": 1, "4": "ignore"}), or text with a pair a line ("7 0", "7, 0", "7: 0" and
    "7 -> 0" are the same; ranges such as "9-12 2" are allowed, "#" begins a comment).

    Raises:
        UsageError: the file cannot be read or understood, or maps a value twice.
    """
    content = _read(file, "--remap")
    pairs = _json_pairs(content, file) if content.lstrip().startswith("{") else _line_pairs(content, file)
    remap: dict[int, int] = {}
    for low, high, target in pairs:
        if not 0 <= low <= high <= _LARGEST_ID or target >= MOST_CLASSES:
            raise UsageError(
                f"{file} maps {low} to {target}; values are 0 to {_LARGEST_ID}, classes below {MOST_CLASSES}."
            )
        for value in range(low, high + 1):
            if remap.setdefault(value, target) != target:
                raise UsageError(f"{file} maps {value} to {remap[value]} and to {target}.")
    if not remap:
        raise UsageError(f"{file} maps nothing.")
    return remap


def _json_pairs(content: str, file: Path) -> list[tuple[int, int, int]]:
    try:
        loaded = json.loads(content, object_pairs_hook=list)  # a dict would hide that a key stands there twice
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}.") from error
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
        raise UsageError(f"{file} cannot be understood at {where}.", 'A line is "label-value class", such as "7 0".')
    low = int(source[1])
    return low, int(source[2] or low), -1 if target in _NO_CLASS else int(target)


def _read(file: Path, option: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        remedy = f"A number, a file of names, or one of {', '.join(TABLES)}." if option == "--classes" else None
        raise UsageError(f"{option}: {file} cannot be read: {reason}.", remedy) from error
