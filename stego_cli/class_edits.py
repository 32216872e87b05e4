"""What a person says about classes that were found: names, colours, which are one thing, which are nothing.

Every class keeps the number that it was found with. Joined classes take the number of the one that they are joined
to, dropped ones become void (255); no number shifts when another goes. Edits are values (`class_operations.py` makes
new ones), and they turn into a lookup table from a found class to the value of its pixels in a mask.

A split is the one edit that needs the model: one class becomes several, of which the first keeps its number and the
others get the next free ones. The list of splits is therefore also what tells whether masks or a model have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stego_cli.classes import VOID
from stego_cli.errors import UsageError
from stego_cli.palette import Colour, palette

VALUES = 256  # that a pixel of a mask can have
LONGEST_NAME = 200
VOID_COLOUR: Colour = (0, 0, 0)
VOID_NAME = "void"


@dataclass(frozen=True)
class ClassEdit:
    """What is said about one class.

    Attributes:
        name: None: "class N".
        colour: RGB, 0 to 255; None: the palette's.
        joins: numbers of the classes that are part of it from now on.
        value: of its pixels in a mask, 0 to 254; None: its own number.
    """

    name: str | None = None
    colour: Colour | None = None
    joins: tuple[int, ...] = ()
    value: int | None = None


@dataclass(frozen=True)
class Legend:
    """One class as it stands after all edits.

    Attributes:
        number: that it was found with.
        value: of its pixels in a mask.
        name: of it.
        colour: of it.
        members: numbers of the found classes that it is made of, its own first.
        named: whether somebody gave it its name.
    """

    number: int
    value: int
    name: str
    colour: Colour
    members: tuple[int, ...]
    named: bool


class EditError(UsageError):
    """Edits that contradict themselves or the classes that there are.

    Attributes:
        where: the key that is wrong, as in the file: ("class", "4", "joins"); empty: the whole.
    """

    def __init__(self, message: str, where: Sequence[str] = (), remedy: str | None = None) -> None:
        super().__init__(message, remedy)
        self.where = tuple(where)


@dataclass(frozen=True)
class ClassEdits:
    """All edits of `found` classes; consistent when it is built.

    Attributes:
        found: number of classes that were found, 1 to 256.
        classes: what is said about some of them, by number.
        drop: numbers of the classes that become void.
        splits: class and number of parts of each split, in their order: ((5, 3),) makes class 5 the classes 5, N
            and N + 1, where N is the number of classes before.

    Raises (when built):
        EditError: a number that there is not, a class in two places, two classes of one name or one value, or fewer
            than two values left.
    """

    found: int
    classes: Mapping[int, ClassEdit] = field(default_factory=dict)
    drop: tuple[int, ...] = ()
    splits: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        said = {number: edit for number, edit in sorted(self.classes.items()) if edit != ClassEdit()}
        object.__setattr__(self, "classes", said)
        object.__setattr__(self, "drop", tuple(sorted(self.drop)))
        if not 1 <= self.found <= VALUES:
            raise EditError(f"There are 1 to {VALUES} classes, not {self.found}.", ["classes"])
        _check_splits(self)
        _check_places(self)
        _check_names(self)
        _check_values(self)

    @property
    def count(self) -> int:
        """The number of classes with those that splits added; their numbers are below it."""
        return self.found + sum(into - 1 for _, into in self.splits)

    def edit(self, number: int) -> ClassEdit:
        """Return what is said about one class."""
        return self.classes.get(number, ClassEdit())

    @property
    def legend(self) -> list[Legend]:
        """The classes that are left, in the order of their numbers."""
        gone = {*self.drop, *(member for edit in self.classes.values() for member in edit.joins)}
        colours = palette(self.count)
        return [
            Legend(
                number=number,
                value=number if edit.value is None else edit.value,
                name=edit.name or default_name(number),
                colour=edit.colour or colours[number],
                members=(number, *edit.joins),
                named=edit.name is not None,
            )
            for number in range(self.count)
            if number not in gone
            for edit in [self.edit(number)]
        ]

    @property
    def table(self) -> NDArray[np.uint8]:
        """The value of the pixels of each found class: uint8 (256,); void for all numbers that are no class."""
        values = np.full(VALUES, VOID, np.uint8)
        for entry in self.legend:
            values[list(entry.members)] = entry.value
        return values

    @property
    def colours(self) -> list[Colour]:
        """The colour of each value in a mask, from 0 to the greatest that there can be; free values are black."""
        by_value = {entry.value: entry.colour for entry in self.legend}
        last = VOID if self.drop else max([*by_value, self.count - 1])
        return [by_value.get(value, VOID_COLOUR) for value in range(last + 1)]

    @property
    def names(self) -> dict[int, str]:
        """The name of each value in a mask, void's included where classes are dropped."""
        names = {entry.value: entry.name for entry in self.legend}
        return names | {VOID: VOID_NAME} if self.drop else names

    def is_named(self, number: int) -> bool:
        """Return whether the class, found with that number, is part of one with a name, or was dropped."""
        return number in self.drop or any(number in entry.members and entry.named for entry in self.legend)


def default_name(number: int) -> str:
    """Return the name of a class that nobody named."""
    return f"class {number}"


def _check_splits(edits: ClassEdits) -> None:
    """Refuse splits of classes that there are not yet, and too many classes."""
    count = edits.found
    for number, into in edits.splits:
        if not 0 <= number < count:
            raise EditError(f"there is no class {number} to split; the classes are 0 to {count - 1}", ["split"])
        if into < 2:
            raise EditError(f"class {number} is split into {into}; it takes 2 or more", ["split"])
        count += into - 1
    if count > VALUES - 1 and edits.splits:  # 255 is void's
        raise EditError(f"the splits would make {count} classes; there can be {VALUES - 1}", ["split"])


def _check_places(edits: ClassEdits) -> None:
    """Refuse a number that there is not, and a class in two places."""
    place: dict[int, str] = {}

    def put(number: int, what: str, where: Sequence[str]) -> None:
        if not 0 <= number < edits.count:
            raise EditError(f"there is no class {number}; the classes are 0 to {edits.count - 1}", where)
        if number in place:
            raise EditError(f"class {number} is in two places: {place[number]} and {what}", where)
        place[number] = what

    for number in edits.drop:
        put(number, "in drop", ["drop"])
    for number, edit in edits.classes.items():
        put(number, f"class {number} itself", ["class", str(number)])
        for member in edit.joins:
            put(member, f"joined to class {number}", ["class", str(number), "joins"])
    left = len(edits.legend)
    if edits.count > 1 and left + bool(edits.drop) < 2:
        what = "all classes are joined into one" if left else "all classes are dropped"
        raise EditError(f"{what}; masks would have one value only")
    if not left:
        raise EditError("all classes are dropped", ["drop"])


def _check_names(edits: ClassEdits) -> None:
    owner: dict[str, int] = {VOID_NAME: VOID} if edits.drop else {}
    for entry in edits.legend:
        where = ["class", str(entry.number), "name"]
        if not entry.name.strip():
            raise EditError(f"class {entry.number} has an empty name", where)
        if len(entry.name) > LONGEST_NAME:
            raise EditError(f"the name of class {entry.number} is longer than {LONGEST_NAME} letters", where)
        if entry.name in owner:
            other = owner[entry.name]
            where[1] = str(entry.number if entry.named else other)
            remedy = "Join them, or give one another name."
            raise EditError(f"classes {other} and {entry.number} have the same name, {entry.name!r}", where, remedy)
        owner[entry.name] = entry.number


def _check_values(edits: ClassEdits) -> None:
    owner: dict[int, int] = {}
    for entry in edits.legend:
        where = ["class", str(entry.number), "value"]
        if not 0 <= entry.value <= (VOID - 1 if edits.drop or entry.number != VOID else VOID):
            raise EditError(f"class {entry.number} has the value {entry.value}; {VOID} is void's", where)
        if entry.value in owner:
            raise EditError(f"classes {owner[entry.value]} and {entry.number} have the same value", where)
        owner[entry.value] = entry.number
        for channel in entry.colour:
            if not 0 <= channel <= 255:
                raise EditError(f"the colour of class {entry.number} is not RGB, 0 to 255", where[:2])
