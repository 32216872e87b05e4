"""Classes of a model, of masks, of a run or of a classes file: see what they are, and change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from stego_cli.class_edits import ClassEdits
from stego_cli.class_operations import dropped, joined, parted, pending_splits, recoloured, renamed, renumbered, split
from stego_cli.classes_toml import FILE_NAME, parse_colour, read_classes, write_classes_file
from stego_cli.errors import ModelError, NoInputError, UsageError
from stego_cli.gallery.mask_tree import open_masks
from stego_cli.gallery.model_edit import classes_of_model, edit_model, shares_of_model
from stego_cli.gallery.remap import Changed, change_classes, finish_change
from stego_cli.images.atomic import write_bytes
from stego_cli.images.discover import STATE
from stego_cli.inference.contract import LARGEST
from stego_cli.progress import Progress
from stego_cli.regular_file import read_regular
from stego_cli.stop import Stop
from stego_cli.tasks.contact_sheet import FILE as SHEET
from stego_cli.tasks.contact_sheet import write_contact_sheet
from stego_cli.tasks.split import OF_MASKS, SplitSource, split_in_masks, split_in_model, split_in_run
from stego_cli.text import shown

_RUN = "config.json"
Edit = Callable[[ClassEdits], ClassEdits]
Value = TypeVar("Value")


@dataclass(frozen=True)
class ClassesReport:
    """What the classes are.

    Attributes:
        kind: "masks", "model", "run" or "file".
        edits: of the classes.
        shares: of pixels, or of training patches, in each class that is left, by its number; empty: not counted.
        photographs: with such pixels, by number; of masks alone.
        written: masks that were changed.
        failed: paths and reasons of the masks that could not be.
    """

    kind: str
    edits: ClassEdits
    shares: dict[int, float] = field(default_factory=dict)
    photographs: dict[int, int] = field(default_factory=dict)
    written: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def kind_of(target: Path) -> str:
    """Return what a path is: "masks", "model", "run" or "file" (a classes file).

    Raises:
        UsageError: none of them.
        NoInputError: it does not exist.
    """
    if target.suffix == ".toml":
        return "file"
    if not target.exists():
        raise NoInputError(f"{shown(target)} does not exist.", "Give a model file, or a folder of masks or of a run.")
    if target.is_file():
        return "model"
    if (target / STATE).is_dir():
        return "masks"
    if (target / _RUN).is_file():
        return "run"
    raise UsageError(
        f"{shown(target)} is no folder of masks and no run.",
        "Give what `stego segment`, `stego train` or `stego export-onnx` wrote, or a classes file.",
    )


def list_classes(target: Path) -> ClassesReport:
    """Return what the classes of a model, of masks, of a run or of a classes file are.

    Raises:
        UsageError: it is none of them, or damaged.
        ModelError: the model is not one of this tool.
    """
    kind = kind_of(target)
    if kind == "masks":
        tree = open_masks(target)
        total = tree.pixels.total() or 1
        shares = {entry.number: tree.pixels[entry.value] / total for entry in tree.edits.legend}
        counts = {
            entry.number: sum(entry.value in (each.pixels or {}) for each in tree.entries)
            for entry in tree.edits.legend
        }
        return ClassesReport(kind, tree.edits, shares, counts)
    edits, found = _read(kind, target)
    shares = {entry.number: sum(found[member] for member in entry.members) for entry in edits.legend} if found else {}
    return ClassesReport(kind, edits, shares)


def edit_classes(
    target: Path, edit: Edit, progress: Progress, stop: Stop, source: SplitSource = OF_MASKS
) -> ClassesReport:
    """Change the classes of a model, of masks, of a run or of a classes file.

    Args:
        target: which is changed, each file whole or not at all.
        edit: from the edits that it has to those that it gets.
        progress: told of masks that cannot be changed.
        stop: asked between two masks.
        source: of the codes where a class is split.

    Raises:
        UsageError: the edit is refused; nothing is changed.
        ModelError: the model is not one of this tool.
        OutputError: it cannot be written.
        Stopped: a signal came while masks were changed; the same again does the rest.
    """
    kind = kind_of(target)
    steps: list[Changed] = []
    if kind == "masks":
        finished = finish_change(target, progress, stop)
        before = open_masks(target).edits
        after = before if finished and _was_it(edit, finished, before) else edit(before)
        if finished:
            steps.append(finished)
        splits = pending_splits(before, after)
        steps.extend(split_in_masks(target, pair, source, progress, stop) for pair in splits)
        steps.append(change_classes(target, after, progress, stop))
        if (target / SHEET).is_file():
            write_contact_sheet(target, False, progress)
    elif kind == "model":
        content = _content(target)
        before = classes_of_model(content, shown(target))
        after = edit(before)
        for pair in pending_splits(before, after):
            content = split_in_model(content, pair, source, shown(target), progress, stop)
        write_bytes(target, edit_model(content, after, shown(target)))
    else:
        before, _ = _read(kind, target)
        after = edit(before)
        for pair in pending_splits(before, after) if kind == "run" else ():
            split_in_run(target, pair, source, progress, stop)
        file = target / FILE_NAME if kind == "run" else target
        write_bytes(file, write_classes_file(after).encode())
    report = list_classes(target)
    written = set().union(*(step.paths for step in steps))
    failed = dict.fromkeys(each for step in steps for each in step.failed)
    return ClassesReport(kind, report.edits, report.shares, report.photographs, len(written), list(failed))


def _was_it(edit: Edit, finished: Changed, now: ClassEdits) -> bool:
    """Return whether the change that was stopped, and finished just now, is the one that is asked for again."""
    if finished.before is None:
        return False
    try:
        return edit(finished.before) == now
    except UsageError:
        return False


def applied(file: Path) -> Edit:
    """Return the edit that replaces all edits by those of a classes file.

    Raises:
        UsageError: the file is wrong.
    """
    after = read_classes(file)

    def replace(before: ClassEdits) -> ClassEdits:
        if before.found != after.found:
            raise UsageError(
                f"{shown(file)} is about {after.found} classes; there are {before.found}.",
                "It was made for another model, or for its masks.",
            )
        pending_splits(before, after)
        return after

    return replace


def named(words: list[str]) -> Edit:
    """Return the edit of words such as "3=sky".

    Raises:
        UsageError: a word is not of this form.
    """
    pairs = [_split(word, "3=sky") for word in words]
    return lambda edits: renamed(edits, _once((class_number(edits, left), right) for left, right in pairs))


def coloured(words: list[str]) -> Edit:
    """Return the edit of words such as "3=#4682b4".

    Raises:
        UsageError: a word is not of this form.
    """
    colours = []
    for word in words:
        left, right = _split(word, "3=#4682b4")
        colour = parse_colour(right)
        if colour is None:
            raise UsageError(f"{right!r} is not a colour.", 'Write it as "#4682b4".')
        colours.append((left, colour))
    return lambda edits: recoloured(edits, _once((class_number(edits, left), colour) for left, colour in colours))


def joining(words: list[str]) -> Edit:
    """Return the edit of words such as "road=4,7,9", or "4,7,9" for a join without a new name.

    Raises:
        UsageError: a word is not of this form.
    """

    def edit(edits: ClassEdits) -> ClassEdits:
        for word in words:
            name, equals, members = word.rpartition("=")
            numbers = [class_number(edits, part) for part in members.split(",")]
            if equals and not name.strip():
                raise UsageError(f"{word!r} has an empty name.", "Write, say, road=4,7,9.")
            edits = joined(edits, numbers, name or None)
        return edits

    return edit


def splitting(word: str, into: int) -> Edit:
    """Return the edit that makes several classes of one, given by number or name."""
    return lambda edits: split(edits, class_number(edits, word), into)


def dropping(words: list[str]) -> Edit:
    """Return the edit that makes classes, given by number or name, void."""
    return lambda edits: dropped(edits, [class_number(edits, part) for word in words for part in word.split(",")])


def unchanged(edits: ClassEdits) -> ClassEdits:
    """Return the edits as they are; to be given where only what was stopped is to be finished."""
    return edits


def parting(words: list[str]) -> Edit:
    """Return the edit that takes joins back, of classes given by number or name."""

    def edit(edits: ClassEdits) -> ClassEdits:
        for word in words:
            edits = parted(edits, class_number(edits, word))
        return edits

    return edit


def then_renumbered(edit: Edit) -> Edit:
    """Return `edit` with values 0, 1, 2 ... for the classes that are left."""
    return lambda edits: renumbered(edit(edits))


def class_number(edits: ClassEdits, text: str) -> int:
    """Return the number of the class with a number or a name.

    Raises:
        UsageError: there is none.
    """
    text = text.strip()
    for entry in edits.legend:
        if entry.name == text:
            return entry.number
    if text.isascii() and text.isdecimal():
        return int(text)
    raise UsageError(f"There is no class {text!r}.", "Give its number or its name; `stego classes list` shows them.")


def _once(pairs: Iterable[tuple[int, Value]]) -> dict[int, Value]:
    found: dict[int, Value] = {}
    for number, value in pairs:
        if number in found:
            raise UsageError(f"Class {number} is given twice.")
        found[number] = value
    return found


def _split(word: str, example: str) -> tuple[str, str]:
    left, equals, right = word.partition("=")
    if not equals or not left.strip() or not right.strip():
        raise UsageError(f"{word!r} cannot be understood.", f"Write, say, {example}.")
    return left, right


def _read(kind: str, target: Path) -> tuple[ClassEdits, tuple[float, ...]]:
    """Return the edits and the found classes' shares of a model, a run or a classes file."""
    if kind == "file":
        return read_classes(target), ()
    if kind == "model":
        content = _content(target)
        return classes_of_model(content, shown(target)), shares_of_model(content, shown(target))
    from stego_cli.gallery.run_classes import classes_of_run

    return classes_of_run(target)


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, LARGEST)
    except OSError as error:
        raise ModelError(f"The model {shown(file)} cannot be read: {error.strerror or error}.") from error
