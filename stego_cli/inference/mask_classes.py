"""What the values in a folder of masks mean: MASKS/.stego/classes.toml, kept beside the journal.

A folder without that file holds masks as the model makes them, with classes that nobody named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_edits import ClassEdit, ClassEdits, EditError, default_name
from stego_cli.class_operations import transition
from stego_cli.classes_toml import FILE_NAME, parse_classes_file, read_classes, write_classes_file
from stego_cli.errors import ModelError, UsageError, setting
from stego_cli.images.atomic import write_bytes
from stego_cli.images.discover import STATE
from stego_cli.inference.contract import ModelInfo
from stego_cli.palette import Colour, palette
from stego_cli.settings import Probe

_PENDING = "classes-pending.json"  # there while masks are being changed


def classes_of_masks(masks: Path) -> ClassEdits | None:
    """Return the edits that the masks in a folder have; None: none.

    Raises:
        UsageError: the file is damaged.
    """
    file = masks / STATE / FILE_NAME
    return read_classes(file) if file.exists() else None


def keep_classes_of_masks(masks: Path, edits: ClassEdits | None) -> None:
    """Write down what the values in the masks mean; None: as the model makes them.

    Raises:
        OutputError: it cannot be written.
    """
    file = masks / STATE / FILE_NAME
    if edits is None or edits == ClassEdits(edits.found):
        file.unlink(missing_ok=True)
    else:
        write_bytes(file, write_classes_file(edits).encode(), file.parent)


def pending_change(masks: Path) -> Path:
    """Return the file that is there while the masks in a folder are being changed."""
    return masks / STATE / _PENDING


def require_settled(masks: Path) -> None:
    """Refuse to go on with masks of which some have the classes of before and some those of after a change.

    Raises:
        UsageError: a change of classes was stopped in the middle.
    """
    if pending_change(masks).exists():
        raise UsageError(
            f"A change of the classes in {masks} was stopped in the middle.",
            f"Finish it with `stego classes apply --to {masks}`, or make all again with {setting('overwrite', True)}.",
        )


@dataclass(frozen=True)
class MaskClasses:
    """How a run writes the classes of its model.

    Attributes:
        names: by value in the masks; free values have an empty one.
        colours: by value in the masks.
        values: uint8 (K,), the value of each class of the model; None: its own number.
    """

    names: tuple[str, ...]
    colours: list[Colour]
    values: NDArray[np.uint8] | None


def classes_of_run(masks: Path, info: ModelInfo, probe: Probe, overwrite: bool) -> MaskClasses:
    """Return how a run has to write the classes of its model, so that its masks go with those that are there.

    Args:
        masks: the output folder; what its values mean is written down there.
        info: of the model.
        probe: whose classes.
        overwrite: forget what was said about the classes of the masks that were there.

    Raises:
        UsageError: a change of classes was stopped in the middle, or the masks there have classes of another model.
        OutputError: the folder cannot be written.
    """
    own = edits_of_model(info, probe)
    if overwrite:
        pending_change(masks).unlink(missing_ok=True)
    require_settled(masks)
    kept = None if overwrite else classes_of_masks(masks)
    if kept is None:
        kept = own
        keep_classes_of_masks(masks, own)
    try:
        table = transition(own, kept)
    except EditError as error:
        raise UsageError(
            f"The classes of the masks in {masks} are not those of the model: {error.message}",
            f"Give {setting('overwrite', True)} to make all masks again, or another {setting('out')}.",
        ) from error
    return _written(info, probe, kept, table)


def classes_as_made(info: ModelInfo, probe: Probe) -> MaskClasses:
    """Return how the classes of a model are written where no masks are there that they have to go with."""
    own = edits_of_model(info, probe)
    return _written(info, probe, own, transition(own, own))


def _written(info: ModelInfo, probe: Probe, kept: ClassEdits, table: NDArray[np.uint8]) -> MaskClasses:
    count = len(info.names(probe))
    numbers = info.mask_values if probe == "cluster" and info.mask_values else range(count)
    values = table[list(numbers)]
    names = kept.names
    return MaskClasses(
        names=tuple(names.get(value, "") for value in range(max(names) + 1)),
        colours=kept.colours,
        values=None if values.tolist() == list(range(count)) else values,
    )


def edits_of_model(info: ModelInfo, probe: Probe) -> ClassEdits:
    """Return the edits that the classes of a model have: those it was edited with, else its names and colours.

    Raises:
        ModelError: two have one name, or a name is empty or too long.
    """
    if probe == "cluster" and info.classes_file:
        return parse_classes_file(info.classes_file, "The model's classes")
    usual = palette(len(info.names(probe)))
    edits = {
        number: ClassEdit(
            name=None if name == default_name(number) else name, colour=None if colour == usual[number] else colour
        )
        for number, (name, colour) in enumerate(zip(info.names(probe), info.colours(probe), strict=True))
    }
    try:
        return ClassEdits(len(usual), edits)
    except EditError as error:
        raise ModelError(f"The model's classes cannot be used: {error.message}.", "Export it with others.") from error
