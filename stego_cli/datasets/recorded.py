"""What dataset.json records about how a data set was prepared, and whether that is what is asked for now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stego_cli.datasets.about import About, read_about
from stego_cli.datasets.layout import LABELS, PHOTOS
from stego_cli.datasets.source import identity, mounts
from stego_cli.errors import UsageError, setting
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

# Keys of dataset.json that are settings of the same name; with the name of the data set they decide the result.
_LATER_KEYS = ("label_pattern", "remap", "void")  # left out if they are None
_KEYS = ("val", "limit", "fraction", "seed", "crops", "ratio", "resize", "unlabelled")


def prepared_before(settings: PrepareSettings, given: Sequence[Path]) -> About | None:
    """Return what dataset.json says if OUT is the data set that is asked for, complete; None if it is yet to be made.

    Args:
        settings: of the task.
        given: the sources.

    Raises:
        UsageError: OUT holds another data set, or this one damaged, or something else.
    """
    out = settings.out
    about = read_about(out) if out.is_dir() else None
    if about is None:
        if out.is_file() or (out.is_dir() and any(out.iterdir())):
            raise UsageError(f"{shown(out)} holds something else than a data set.", f"Give another {setting('out')}.")
        return None
    if settings.overwrite:
        return None
    now = {**dict.fromkeys((*_LATER_KEYS, "palette")), **options(settings)}
    differs = [key for key, value in now.items() if about.prepared.get(key) != value]
    there = all(source.exists() for source in given)  # an archive may be deleted once it was prepared
    if not differs and there and given and about.prepared.get("sources") != sources_of(settings, given):
        differs = ["source"]
    if differs:
        names = ", ".join(setting("classes" if key == "table" else key) for key in differs)
        raise UsageError(
            f"{shown(out)} holds a data set that was prepared with other settings ({names}).",
            f"Give another {setting('out')}, or {setting('overwrite', True)} to replace it.",
        )
    if lost := _lost(out, about):
        raise UsageError(
            f"{lost} photographs or labels of {shown(out)} are missing.",
            f"Give {setting('overwrite', True)} to prepare it again.",
        )
    return about


def options(settings: PrepareSettings) -> dict[str, object]:
    """Return the settings that decide the result, as dataset.json has them."""
    kept = {
        "name": settings.name,
        "table": asdict(settings.classes) if settings.classes else None,
        **{key: getattr(settings, key) for key in _KEYS},
    }
    if settings.palette == "auto":
        kept["palette"] = "auto"
    elif settings.palette is not None:
        content = settings.palette.read_bytes() if settings.palette.is_file() else None
        kept["palette"] = "" if content is None else hashlib.sha256(content).hexdigest()
    kept |= {key: value for key in _LATER_KEYS if (value := getattr(settings, key)) is not None}
    as_read: dict[str, object] = json.loads(json.dumps(kept))
    return as_read


def sources_of(
    settings: PrepareSettings, given: Sequence[Path], looked_through: dict[Path, dict[str, int]] | None = None
) -> list[dict[str, object]]:
    """Return what identifies the sources, as dataset.json has it.

    Args:
        settings: of the task.
        given: the sources.
        looked_through: sizes by name in each source that is a folder, as far as they were listed already.
    """
    sizes = looked_through or {}
    return [identity(path, settings.out, sizes.get(path)) for _, path in mounts(settings, given)]


def digest_of(settings: PrepareSettings, sources: list[dict[str, object]]) -> str:
    """Return what tells whether a run that was killed had the same settings and sources."""
    content = json.dumps([options(settings), sources, settings.link], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _lost(out: Path, about: About) -> int:
    """Return how many photographs and labels are missing of those in dataset.json."""
    lost = 0
    for split, counts in about.splits.items():
        there = sum(1 for file in (out / PHOTOS / split).rglob("*") if file.is_file())
        labels = sum(1 for file in (out / LABELS / split).rglob("*") if file.is_file())
        lost += max(0, counts.photographs - there) + max(0, counts.labels - labels)
    return lost
