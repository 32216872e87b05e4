"""What can be done to edits of classes, each operation giving new ones, and how masks get from some edits to others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_edits import VALUES, ClassEdits, EditError
from stego_cli.classes import VOID
from stego_cli.palette import Colour


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
