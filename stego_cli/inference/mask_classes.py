"""What the values in a folder of masks mean: MASKS/.stego/classes.toml, kept beside the journal.

A folder without that file holds masks as the model makes them, with classes that nobody named.
"""

from __future__ import annotations

from pathlib import Path

from stego_cli.class_edits import ClassEdits
from stego_cli.classes_file import FILE_NAME, read_classes, write_classes_file
from stego_cli.errors import UsageError
from stego_cli.images.atomic import write_bytes
from stego_cli.images.discover import STATE

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
            f"Finish it with `stego classes apply --to {masks}`, or make all masks again with --overwrite.",
        )
