"""Which mask belongs to which label: the same folder below the two roots, and the same stem.

The two trees are walked side by side, one folder at a time, so that only the names of one folder are in memory. Hidden
files and folders (the `.stego` folder among them) are skipped, and so are files that are not named `.png`, such as the
overlays beside masks. A link to a file is followed, a link to a folder is not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import NoInputError
from stego_cli.text import shown

_SUFFIX = ".png"


@dataclass(frozen=True)
class MaskPair:
    """A mask and its label, or the one of them that exists.

    Attributes:
        name: relative path without the suffix; the same for both.
        pred: path of the mask below its root; empty if there is none.
        label: path of the label below its root; empty if there is none.
        problem: why the pair cannot be scored, as far as names tell; empty if it can.
    """

    name: str
    pred: str
    label: str
    problem: str = ""


@dataclass
class _Listing:
    """What one folder holds: PNGs by stem, names of folders, stems that two files share, why it cannot be read."""

    stems: dict[str, str]
    folders: set[str]
    twice: set[str]
    problem: str = ""


def walk_pairs(pred: Path, gt: Path) -> Iterator[MaskPair]:
    """Yield all pairs below the two folders, complete and incomplete ones, in a fixed order."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        masks, labels = _list(pred, below), _list(gt, below)
        prefix = f"{below}/" if below else ""
        if masks.problem or labels.problem:
            yield MaskPair(below or ".", "", "", masks.problem or labels.problem)
            continue
        for stem in sorted(masks.stems.keys() | labels.stems.keys()):
            mask, label = masks.stems.get(stem), labels.stems.get(stem)
            problem = ""
            if mask is None or label is None:
                problem = "no mask for this label" if mask is None else "no label for this mask"
            elif stem in masks.twice | labels.twice:
                problem = "two files share this name but for the case of .png"
            yield MaskPair(prefix + stem, prefix + mask if mask else "", prefix + label if label else "", problem)
        waiting.extend(prefix + name for name in sorted(masks.folders | labels.folders, reverse=True))


def count_pairs(pred: Path, gt: Path) -> int:
    """Return the number of complete pairs.

    Raises:
        NoInputError: one of the folders is missing, or no mask has a label.
    """
    for folder, field in ((pred, "pred"), (gt, "gt")):
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise NoInputError(f"{shown(folder)} {what}.", "Give a folder of PNG files.", field=field)
    whole = only_masks = only_labels = 0
    for pair in walk_pairs(pred, gt):
        whole += bool(pair.pred and pair.label)
        only_masks += bool(pair.pred and not pair.label)
        only_labels += bool(pair.label and not pair.pred)
    if not whole:
        raise NoInputError(
            f"No mask in {shown(pred)} ({only_masks} PNG files) has a label in {shown(gt)} ({only_labels} PNG files).",
            "A pair has the same relative path below the two folders, such as MASKS/x/a.png and LABELS/x/a.png.",
        )
    return whole


def _list(root: Path, below: str) -> _Listing:
    found = _Listing({}, set(), set())
    try:
        with os.scandir(root / below) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.folders.add(entry.name)
                elif entry.name.lower().endswith(_SUFFIX) and not entry.is_dir():
                    stem = entry.name[: -len(_SUFFIX)]
                    if stem in found.stems:
                        found.twice.add(stem)
                    found.stems[stem] = entry.name
    except (FileNotFoundError, NotADirectoryError):
        pass  # only the other tree has this folder; its files have no partner
    except OSError as error:
        found.problem = f"the folder cannot be read: {error.strerror or error}"
    return found
