"""What a person says about classes that were found: names, colours, which are one thing, which are nothing.

Every class keeps the number that it was found with. Joined classes take the number of the one that they are joined
to, dropped ones become void (255); no number shifts when another goes. Edits are values: each operation returns new
ones, and they turn into a lookup table from a found class to the value of its pixels in a mask.

A split is the one edit that needs the model: one class becomes several, of which the first keeps its number and the
others get the next free ones. The list of splits is therefore also what tells whether masks or a model have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

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


def renamed(edits: ClassEdits, names: Mapping[int, str]) -> ClassEdits:
    """Give classes names.

    Raises:
        EditError: there is no such class, or a name is taken.
    """
    return _with(edits, {_left(edits, number): {"name": name} for number, name in names.items()})


def recoloured(edits: ClassEdits, colours: Mapping[int, Colour]) -> ClassEdits:
    """Give classes colours.

    Raises:
        EditError: there is no such class.
    """
    return _with(edits, {_left(edits, number): {"colour": colour} for number, colour in colours.items()})


def joined(edits: ClassEdits, members: Sequence[int], name: str | None = None) -> ClassEdits:
    """Join classes to the first of them, with all that had been joined to them before.

    Args:
        edits: before.
        members: numbers of two or more classes.
        name: of the joined class; None: the first name that one of them has.

    Raises:
        EditError: there is no such class, one is given twice, or no two values would be left.
    """
    if len(set(members)) != len(members) or len(members) < 2:
        raise EditError("A join takes two or more different classes.")
    parts = {entry.number: entry for entry in edits.legend}
    for number in members:
        _left(edits, number)
    target, *others = members
    name = name or next((parts[number].name for number in members if parts[number].named), None)
    said = {number: edit for number, edit in edits.classes.items() if number not in others}
    joins = tuple(number for member in members for number in parts[member].members if number != target)
    said[target] = replace(edits.edit(target), name=name, joins=joins)
    return replace(edits, classes=said)


def parted(edits: ClassEdits, number: int) -> ClassEdits:
    """Make the members of a joined class classes of their own again.

    Raises:
        EditError: there is no such class.
    """
    _left(edits, number)
    said = dict(edits.classes) | {number: replace(edits.edit(number), joins=())}
    if all(edit.value is None for edit in said.values()):
        return replace(edits, classes=said)
    # Values without a gap have no room for more classes.
    plain = {each: replace(edit, value=None) for each, edit in said.items()}
    return renumbered(replace(edits, classes=plain))


def dropped(edits: ClassEdits, numbers: Iterable[int]) -> ClassEdits:
    """Make classes void, with all that was joined to them.

    Raises:
        EditError: there is no such class, or nothing would be left.
    """
    parts = {entry.number: entry.members for entry in edits.legend}
    gone = [_left(edits, number) for number in dict.fromkeys(numbers)]
    said = {number: edit for number, edit in edits.classes.items() if number not in gone}
    void = (*edits.drop, *(member for number in gone for member in parts[number]))
    return replace(edits, classes=said, drop=void)


def split(edits: ClassEdits, number: int, into: int) -> ClassEdits:
    """Make several classes of one: its number and the next free ones; of a name, "name 1", "name 2" and so on.

    Raises:
        EditError: there is no such class, it is a join, or there would be too many classes.
    """
    _left(edits, number)
    if edits.edit(number).joins:
        raise EditError(
            f"Class {number} is a join of {', '.join(map(str, (number, *edits.edit(number).joins)))}.",
            remedy="Take the join back (`stego classes part`; masks are made again for that), then split its members.",
        )
    said, name = dict(edits.classes), edits.edit(number).name
    if name is not None:
        numbers = (number, *range(edits.count, edits.count + into - 1))
        for place, part in enumerate(numbers, 1):
            said[part] = replace(edits.edit(part), name=f"{name} {place}")
    return replace(edits, classes=said, splits=(*edits.splits, (number, into)))


def renumbered(edits: ClassEdits) -> ClassEdits:
    """Give the classes that are left the values 0, 1, 2 ... in the order of their numbers."""
    return _with(edits, {entry.number: {"value": value} for value, entry in enumerate(edits.legend)})


def transition(before: ClassEdits, after: ClassEdits) -> NDArray[np.uint8]:
    """Return the table that brings masks from one state of the classes to another: uint8 (256,).

    Raises:
        EditError: the classes are not the same ones, or two that are one value in the masks would become two.
    """
    if pending_splits(before, after):
        raise EditError("A split needs the model.", ["split"])
    old, new = before.table, after.table
    table = np.full(VALUES, VOID, np.uint8)
    source: dict[int, int] = {}
    for number in range(before.count):
        first = source.setdefault(int(old[number]), number)
        if new[first] != new[number]:
            where = "dropped" if old[number] == VOID else "joined"
            raise EditError(
                f"Classes {first} and {number} were {where} in these masks, which therefore cannot tell them apart.",
                remedy="Make the masks again with `stego segment --overwrite`, then apply the file.",
            )
        table[old[number]] = new[number]
    return table


def pending_splits(before: ClassEdits, after: ClassEdits) -> tuple[tuple[int, int], ...]:
    """Return the splits that `after` has and `before` has not.

    Raises:
        EditError: the classes are not the same ones, or splits that were made would be taken back.
    """
    if before.found != after.found:
        raise EditError(f"It is about {after.found} classes; these have {before.found}.", ["classes"])
    if before.splits != after.splits[: len(before.splits)]:
        raise EditError(
            "A split that was made cannot be taken back or changed.", ["split"], "Join its parts: they are one again."
        )
    return after.splits[len(before.splits) :]


def require_reachable(before: ClassEdits, after: ClassEdits, can_split: bool = True) -> None:
    """Refuse edits that masks cannot follow: splits without a model, and what they cannot tell apart.

    Raises:
        EditError: they cannot.
    """
    pending = pending_splits(before, after)
    if pending and not can_split:
        raise EditError("A split needs the model that made the masks, which is not kept with them.", ["split"])
    for number, into in pending:
        before = split(before, number, into)
    transition(before, after)


def _with(edits: ClassEdits, changes: Mapping[int, Mapping[str, object]]) -> ClassEdits:
    said = dict(edits.classes)
    for number, change in changes.items():
        said[number] = replace(edits.edit(number), **change)  # type: ignore[arg-type]  # fields of ClassEdit
    return replace(edits, classes=said)


def _left(edits: ClassEdits, number: int) -> int:
    """Return the number if a class that is left has it."""
    if not 0 <= number < edits.count:
        raise EditError(f"There is no class {number}; the classes are 0 to {edits.count - 1}.")
    if number in edits.drop:
        raise EditError(f"Class {number} was dropped.")
    for target, edit in edits.classes.items():
        if number in edit.joins:
            raise EditError(f"Class {number} was joined to class {target}.", remedy=f"Give {target} instead.")
    return number


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
