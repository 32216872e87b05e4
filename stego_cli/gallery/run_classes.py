"""The classes of a run: RUN/classes.toml beside config.json, which the export uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from stego_cli.checked_json import parse_file
from stego_cli.class_edits import ClassEdits
from stego_cli.classes import MOST_CLASSES
from stego_cli.classes_toml import FILE_NAME, read_classes
from stego_cli.errors import ModelError, UsageError
from stego_cli.text import shown


def classes_of_run(run: Path) -> tuple[ClassEdits, tuple[float, ...]]:
    """Return the edits of a run's classes, and the share of training patches in each class that was found.

    Raises:
        ModelError: config.json is damaged.
        UsageError: classes.toml is wrong, or was made for another number of classes.
    """
    try:
        config = parse_file(run / "config.json", _Config)
        if len(config.shares) not in (0, config.classes):  # an imported checkpoint has none
            raise ValueError(f"{len(config.shares)} shares of {config.classes} classes")
    except (OSError, ValueError) as error:
        raise ModelError(f"The checkpoint in {shown(run)} is damaged: config.json: {error}.") from error
    file = run / FILE_NAME
    if not file.exists():
        return ClassEdits(config.classes), config.shares
    edits = read_classes(file)
    if edits.count != config.classes:
        raise UsageError(
            f"{shown(file)} is about {edits.count} classes; the run found {config.classes}.",
            "Delete it, or name them again.",
        )
    return edits, config.shares


@dataclass(frozen=True)
class _Config:
    """What is read of config.json: the number of classes that were found, and the share of patches in each."""

    classes: Annotated[int, Meta(ge=1, le=MOST_CLASSES)]
    shares: tuple[Annotated[float, Meta(ge=0, le=1)], ...]
