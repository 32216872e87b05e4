"""How the labels of a folder are read: what each value or colour, folder or polygon is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_files import read_palette
from stego_cli.classes import VOID, ClassTable, numbered
from stego_cli.datasets.class_lists import ClassList, find_class_list
from stego_cli.datasets.inventory import ClassMap, Item
from stego_cli.datasets.label_values import MOST_COLOURS, Values, values_of, void_values
from stego_cli.datasets.source import Files
from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.ids import LARGEST_ID, Ids, named_colours
from stego_cli.images.label_files import ColourClasses, open_label
from stego_cli.images.readers.table import open_picture
from stego_cli.palette import Colour
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_SHOWN = 8  # values in a message

ReadLabel = Callable[[Item, list[bytes]], ClassMap]


@dataclass(frozen=True)
class LabelKind:
    """How labels are read, and what their classes are: fields of an `Inventory` of the same names."""

    read_label: ReadLabel
    table: ClassTable | None
    as_is: bool = False
    colours: list[Colour] = field(default_factory=list)
    values: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def kind_of_labels(labels: Sequence[str], settings: PrepareSettings, files: Files, progress: Progress) -> LabelKind:
    """Return how labels that are pictures or arrays are read.

    Args:
        labels: names of all label files.
        settings: of the task.
        files: the source.
        progress: shown a bar.

    Raises:
        UsageError: the labels have colours and nothing tells their classes, or values that do not fit the settings.
    """
    if settings.void is not None and settings.palette is not None:
        raise UsageError(
            f"is for labels that are numbers; with {setting('palette')} they are colours",
            f"In a file for {setting('palette')}, colours with the name void have no class.",
            field="void",
        )
    listed = find_class_list(files) if settings.classes is None and settings.palette is None else None
    if settings.palette not in (None, "auto"):
        assert not isinstance(settings.palette, str)
        colours, table = read_palette(settings.palette)
        return _by_colours(colours, table, shown(settings.palette), values_of(files, labels, True, progress))
    if listed is not None and listed.colours:
        found = values_of(files, labels, True, progress)
        if _most_are_listed(found, listed):
            return _by_colours(listed.colours, listed.table, shown(listed.file), found, (_says(listed),))
        listed = None
    found = values_of(files, labels, settings.palette == "auto", progress)
    if settings.palette == "auto":
        return _by_own_colours(found)
    if found.coloured > found.numbers:
        raise UsageError(
            f"The labels are colour pictures, with {named_colours(np.array(sorted(found.colours), dtype=np.uint32))}.",
            f"Give {setting('palette')} a file with the class of each colour, or {setting('palette', 'auto')} to make "
            "each colour a class.",
        )
    return _by_values(found, listed, settings, files, labels)


def _by_colours(
    colours: Mapping[Colour, int], table: ClassTable, file: str, found: Values, notes: tuple[str, ...] = ()
) -> LabelKind:
    classes = ColourClasses(colours)
    packed = {red << 16 | green << 8 | blue for red, green, blue in colours}
    others = {colour: count for colour, count in found.colours.most_common() if colour not in packed}
    if others:
        first = ", ".join(f"#{colour:06x} ({count} pixels)" for colour, count in list(others.items())[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more colours" if len(others) > _SHOWN else ""
        notes = (*notes, f"Colours that are not in {file} become void: {first}{more}.")

    def read(item: Item, contents: list[bytes]) -> ClassMap:
        return classes.ids(open_label(contents[0], item.labels[0]).colours(), VOID).astype(np.uint8)

    return LabelKind(read, table, notes=notes)


def _most_are_listed(found: Values, listed: ClassList) -> bool:
    packed = {red << 16 | green << 8 | blue for red, green, blue in listed.colours}
    inside = sum(count for colour, count in found.colours.items() if colour in packed)
    return inside * 2 > found.colours.total()


def _says(listed: ClassList) -> str:
    return f"Names of the {len(listed.table.names)} classes are those in {shown(listed.file)}."


def _by_own_colours(found: Values) -> LabelKind:
    """Make each colour a class, in the order of their values, so that black is the first."""
    if len(found.colours) > VOID:
        many = f"more than {MOST_COLOURS}" if len(found.colours) > MOST_COLOURS else str(len(found.colours))
        raise UsageError(
            f"The labels have {many} colours, more than classes are possible ({VOID}): they are photographs, or have "
            "smooth edges.",
            f"Give {setting('palette')} a file with the class of each colour.",
        )
    own = [(colour >> 16, colour >> 8 & 255, colour & 255) for colour in sorted(found.colours)]
    table = ClassTable(tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in own), tuple(own))
    note = f"The labels have {len(own)} colours, which become the classes: {', '.join(table.names[:_SHOWN])}"
    note += ", ..." if len(own) > _SHOWN else "."
    return _by_colours({colour: index for index, colour in enumerate(own)}, table, "", found, (note,))


def _by_values(
    found: Values, listed: ClassList | None, settings: PrepareSettings, files: Files, labels: Sequence[str]
) -> LabelKind:
    if settings.remap is not None:
        return _remapped(settings.remap, settings.classes, found)
    void = void_values(found.ids, settings.void)
    used = sorted(found.ids.keys() - void)
    notes: list[str] = []
    if VOID in used and settings.void is None:
        notes.append(f"The labels have no values but {_text(used)}, so {VOID} is a class, and not void.")
    if settings.void:
        there = sorted(void & found.ids.keys())
        notes.append(
            f"Label values without a class: {_text(there) if there else 'none; the labels have no such value'}."
        )
    if listed is not None and set(used) <= set(listed.values or range(len(listed.table.names))):
        notes.append(_says(listed))
        table: ClassTable | None = listed.table
        values = list(listed.values or range(len(listed.table.names)))
    elif settings.classes is not None:
        table, values = settings.classes, _values_of_classes(len(settings.classes.names), used, void)
        beyond = [value for value in used if value not in values]
        if beyond:
            notes.append(_beyond(beyond, values, found))
    else:
        table, values = None, used
    if len(values) > VOID:
        raise UsageError(
            f"The labels have {len(values)} values; at most {VOID} classes are possible.",
            f"Give {setting('remap')} a file that maps the values to classes.",
        )
    own = _palette_in(files.read(labels[0])) if labels and table is None else []
    if values == list(range(len(values))) and not (void & found.ids.keys()) - {VOID}:
        return LabelKind(_numbers, table, as_is=True, colours=own, notes=tuple(notes))
    if table is None:
        colours = [own[value] for value in values] if own and values[-1] < len(own) else []
        distinct = len(set(colours)) == len(values)
        table = ClassTable(tuple(f"class {value}" for value in values), tuple(colours) if distinct else ())
    notes.append(f"Label values and their classes: {_text([f'{value} - {at}' for at, value in enumerate(values)])}.")
    read = _mapped({value: index for index, value in enumerate(values)}, void)
    return LabelKind(read, table, values=tuple(values), notes=tuple(notes))


def _values_of_classes(count: int, used: Sequence[int], void: frozenset[int]) -> list[int]:
    """Return the label value of each class where the user gives the classes: those that are not void, in order.

    If labels have other values, but as many as there are classes, these are the classes in order.
    """
    in_order = [value for value in range(count + len(void)) if value not in void][:count]
    return list(used) if len(used) == count and not set(used) <= set(in_order) else in_order


def _beyond(beyond: Sequence[int], values: Sequence[int], found: Values) -> str:
    """Return the note about values that are no class; a few labels with them are left out, most cannot be meant."""
    text = f"The labels have the values {_text(beyond)}, and the {len(values)} classes are {values[0]} to {values[-1]}"
    if sum(found.ids[value] for value in beyond) * 2 > sum(found.ids[value] for value in values):
        raise UsageError(f"{text}.", f"Give {setting('remap')} a file that maps the values to classes.")
    return f"{text}; such labels are left out."


def _remapped(remap: Mapping[int, int], table: ClassTable | None, found: Values) -> LabelKind:
    """Read labels by a table of the user's; values that are not in it are void, as they are for a score."""
    count = max(remap.values()) + 1
    if count > VOID or (table is not None and count > len(table.names)):
        most = VOID if table is None else len(table.names)
        raise UsageError(f"maps to class {count - 1}, and there are {most} classes", field="remap")
    others = sorted(found.ids.keys() - remap.keys() - {VOID})
    notes = (f"Label values that are not in the remapping become void: {_text(others)}.",) if others else ()
    classes = {value: index for value, index in remap.items() if index >= 0}
    void = found.ids.keys() - classes.keys()
    return LabelKind(_mapped(classes, frozenset(void)), table or numbered(count), notes=notes)


def _numbers(item: Item, contents: list[bytes]) -> ClassMap:
    ids = open_label(contents[0], item.labels[0]).ids()
    if ids.dtype != np.uint8:
        highest = int(ids.max(initial=0))
        if highest > VOID:
            raise PhotoError(f"it has class {highest}; classes are 0 to {VOID - 1}")
        ids = ids.astype(np.uint8)
    return ids


def _mapped(classes: Mapping[int, int], void: frozenset[int]) -> ReadLabel:
    """Return what reads labels whose values are changed to classes; other values than these are an error."""
    mapping: NDArray[np.uint16] = np.full(LARGEST_ID + 1, LARGEST_ID, dtype=np.uint16)
    mapping[list(void)] = VOID
    for value, index in classes.items():
        mapping[value] = index

    def read(item: Item, contents: list[bytes]) -> ClassMap:
        ids: Ids = open_label(contents[0], item.labels[0]).ids()
        mapped = mapping[ids]
        if (unknown := mapped == LARGEST_ID).any():
            raise PhotoError(f"it has the value {int(ids[unknown][0])}, which is no class")
        return mapped.astype(np.uint8)

    return read


def _palette_in(content: bytes) -> list[Colour]:
    """Return the colours of a palette PNG; an empty list if it has no palette or is broken."""
    try:
        image = open_picture(content)
        values = image.getpalette("RGB") if image.mode == "P" and image.format == "PNG" else None
    except (PhotoError, OSError, ValueError):
        return []
    return [(values[at], values[at + 1], values[at + 2]) for at in range(0, len(values) - 2, 3)] if values else []


def _text(values: Sequence[object]) -> str:
    first = ", ".join(map(str, values[:_SHOWN]))
    return f"{first} and {len(values) - _SHOWN} more" if len(values) > _SHOWN else first
