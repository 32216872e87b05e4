"""The classes of a run: RUN/classes.toml beside config.json, which the export uses."""

from __future__ import annotations

import json
from pathlib import Path

from stego_cli.class_edits import ClassEdits
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
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        found, shares = int(config["classes"]), tuple(float(share) for share in config["shares"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The checkpoint in {shown(run)} is damaged: {error}.") from error
    file = run / FILE_NAME
    if not file.exists():
        return ClassEdits(found), shares
    edits = read_classes(file)
    if edits.count != found:
        raise UsageError(
            f"{shown(file)} is about {edits.count} classes; the run found {found}.", "Delete it, or name them again."
        )
    return edits, shares
