"""`classes.toml`: edits of classes as a small text file, to be written by hand, kept with a project and handed on.

    format = 1
    classes = 11          # how many classes were found; their numbers are 0 to 10
    drop = [10]           # these become void, 255
    split = [[5, 3]]      # class 5 becomes 5, 11 and 12: one of its parts keeps its number

    [class.3]
    name = "sky"
    colour = "#4682b4"

    [class.4]
    name = "road"
    joins = [7, 9]        # these are part of class 4

Classes that are not named in it stay as they are.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from stego_cli.class_edits import VOID_NAME, ClassEdit, ClassEdits, EditError
from stego_cli.errors import UsageError
from stego_cli.palette import Colour
from stego_cli.regular_file import read_regular
from stego_cli.text import shown

FORMAT = 1
FILE_NAME = "classes.toml"
_LARGEST = 1_000_000  # bytes
_KEYS = {"format", "classes", "drop", "split", "class"}
_CLASS_KEYS = {"name", "colour", "joins", "value"}
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
# Letters that would steer a terminal or turn the direction of the text around them are written as escapes.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def read_classes(file: Path) -> ClassEdits:
    """Read a classes file.

    Raises:
        UsageError: it cannot be read, or the line that is named is wrong.
    """
    try:
        text = read_regular(file, _LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{shown(file)} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown(file)} is not UTF-8 text.") from error
    return parse_classes_file(text, shown(file))


def parse_classes_file(text: str, name: str = FILE_NAME) -> ClassEdits:
    """Read the text of a classes file; `name` stands for the file in messages.

    Raises:
        UsageError: the line that is named is wrong.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is not a TOML file: {error}.") from error
    try:
        return _edits(content)
    except EditError as error:
        line = _line(text, error.where)
        place = f", line {line}" if line else ""
        key = f" ({'.'.join(error.where)})" if error.where else ""
        raise UsageError(f"{name}{place}{key}: {error.message.rstrip('.')}.", error.remedy) from error


def write_classes_file(edits: ClassEdits) -> str:
    """Return the text of a classes file; the same edits give the same text."""
    lines = [f"format = {FORMAT}", f"classes = {edits.found}  # found; their numbers are 0 to {edits.found - 1}"]
    if edits.drop:
        lines.append(f"drop = {_numbers(edits.drop)}  # these become void, 255")
    if edits.splits:
        pairs = ", ".join(_numbers(pair) for pair in edits.splits)
        lines.append(f"split = [{pairs}]  # class, parts; with these, numbers are 0 to {edits.count - 1}")
    for number, edit in edits.classes.items():
        lines += ["", f"[class.{number}]"]
        if edit.name is not None:
            lines.append(f"name = {_quoted(edit.name)}")
        if edit.colour is not None:
            lines.append(f'colour = "{hexadecimal(edit.colour)}"')
        if edit.joins:
            lines.append(f"joins = {_numbers(edit.joins)}")
        if edit.value is not None:
            lines.append(f"value = {edit.value}")
    return "\n".join(lines) + "\n"


def hexadecimal(colour: Colour) -> str:
    """Return a colour as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def parse_colour(text: object) -> Colour | None:
    """Return the colour of "#rrggbb", or None if that is not what the text is."""
    if not isinstance(text, str) or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        return None
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _edits(content: dict[str, Any]) -> ClassEdits:
    _only(content, _KEYS, [])
    if content.get("format") != FORMAT:
        said = "is missing" if "format" not in content else f"is {content['format']!r}"
        raise EditError(f"format {said}; this version reads {FORMAT}", ["format"])
    found = _number(content.get("classes"), ["classes"])
    tables = content.get("class", {})
    if not isinstance(tables, dict):
        raise EditError("it is written [class.3], with a class's number", ["class"])
    classes = {}
    for key, table in tables.items():
        if not re.fullmatch("0|[1-9][0-9]{0,2}", key):
            raise EditError(f"{key!r} is not a class's number", ["class", key])
        if not isinstance(table, dict):
            raise EditError(f"it is written [class.{key}], with keys below it", ["class", key])
        classes[int(key)] = _class(table, ["class", key])
    return ClassEdits(found, classes, _list(content.get("drop", []), ["drop"]), _splits(content.get("split", [])))


def _class(table: dict[str, Any], where: list[str]) -> ClassEdit:
    _only(table, _CLASS_KEYS, where)
    name = table.get("name")
    if name is not None and not isinstance(name, str):
        raise EditError("a name is text in quotes", [*where, "name"])
    if name == VOID_NAME:
        raise EditError(f'"{VOID_NAME}" is the name of what is dropped', [*where, "name"], "Put the class into drop.")
    colour = parse_colour(table["colour"]) if "colour" in table else None
    if "colour" in table and colour is None:
        raise EditError('a colour is written "#4682b4"', [*where, "colour"])
    value = _number(table["value"], [*where, "value"]) if "value" in table else None
    return ClassEdit(name, colour, _list(table.get("joins", []), [*where, "joins"]), value)


def _only(table: dict[str, Any], known: set[str], where: list[str]) -> None:
    for key in table:
        if key not in known:
            raise EditError(f"unknown key {key!r}; there are {', '.join(sorted(known))}", [*where, key])


def _number(value: object, where: list[str]) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise EditError("a whole number is missing here" if value is None else "it is not a whole number", where)
    return value


def _list(value: object, where: list[str]) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise EditError("it is a list of classes' numbers, such as [7, 9]", where)
    return tuple(_number(item, where) for item in value)


def _splits(value: object) -> tuple[tuple[int, int], ...]:
    pairs: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise EditError("it is a list of classes and numbers of parts, such as [[5, 3]]", ["split"])
    return tuple((_number(number, ["split"]), _number(into, ["split"])) for number, into in pairs)


def _line(text: str, where: tuple[str, ...]) -> int | None:
    """Return the line, from 1, on which a key or its table is, as far as a look at the text tells."""
    header = re.compile(r"\s*\[\s*class\s*\.\s*\"?(.+?)\"?\s*\]")
    table, best = "", None
    wanted_table = where[1] if len(where) > 1 and where[0] == "class" else ""
    key = where[-1] if where and where != ("class", wanted_table) else None
    for number, line in enumerate(text.splitlines(), 1):
        opened = header.match(line)
        if opened:
            table = opened[1]
            if table == wanted_table:
                best = number
        elif key is not None and table == wanted_table and re.match(rf'\s*"?{re.escape(key)}"?\s*=', line):
            return number
    return best


def _numbers(numbers: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, numbers))}]"


def _quoted(text: str) -> str:
    escaped = "".join(_ESCAPES.get(letter, letter) for letter in text)
    return '"' + _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
