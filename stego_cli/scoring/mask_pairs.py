"""Which mask belongs to which label: the same folder below the two roots, and the same stem.

The two trees are walked side by side, one folder at a time, so that only the names of one folder are in memory. Stems
are the same if they differ only in case, and if the label's has a word such as `_mask` more. Hidden files and folders
(the `.stego` folder among them) are skipped, and so are files that are not labels by their suffix, overlays and
probabilities. A link to a file is followed, a link to a folder is not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.errors import NoInputError
from stego_cli.images.label_files import LABEL_READERS, LOSSY_SUFFIXES
from stego_cli.images.label_names import folded, without_label_word
from stego_cli.text import shown

_RANK = {suffix: rank for rank, suffix in enumerate((*LABEL_READERS, *sorted(LOSSY_SUFFIXES)))}
_FIRST_LOSSY = len(LABEL_READERS)
_OURS = (".overlay", ".probs")  # of the stems of files that `stego segment` writes beside masks


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
    """What one folder holds: files by stem, names of folders, stems that two files share, why it cannot be read.

    Of files with one stem and different suffixes, the one whose format is first in the table counts.
    """

    stems: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    problem: str = ""

    def add(self, name: str) -> None:
        """Add a file if its suffix is one of a label."""
        stem, suffix = os.path.splitext(name)  # noqa: PTH122  (done for every file)
        rank = _RANK.get(suffix.lower())
        if rank is None or stem.endswith(_OURS):
            return
        other = self.stems.get(stem)
        before = None if other is None else _RANK[other[len(stem) :].lower()]
        if before is None or rank < before:
            self.stems[stem] = name
            self.twice.discard(stem)
        elif rank == before:
            self.twice.add(stem)

    def lossy(self, stem: str) -> bool:
        """Return whether the file of a stem is of a format that no label has."""
        return _RANK[self.stems[stem][len(stem) :].lower()] >= _FIRST_LOSSY


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
        for of_mask, of_label in _matched(masks, labels):
            mask, label = masks.stems.get(of_mask), labels.stems.get(of_label)
            problem = ""
            if mask is None or label is None:
                problem = "no mask for this label" if mask is None else "no label for this mask"
            elif of_mask in masks.twice or of_label in labels.twice:
                problem = "two files share this name but for the case of its suffix"
            yield MaskPair(
                prefix + (of_mask or of_label), prefix + mask if mask else "", prefix + label if label else "", problem
            )
        waiting.extend(prefix + name for name in sorted(masks.folders | labels.folders, reverse=True))


def _matched(masks: _Listing, labels: _Listing) -> list[tuple[str, str]]:
    """Return the stems of mask and label of each pair, in a fixed order; "" where there is none.

    Pictures of lossy formats count only if there is a partner: photographs and overlays lie beside masks and labels.
    """
    same = masks.stems.keys() & labels.stems.keys()
    pairs = [(stem, stem) for stem in same]
    left, right = masks.stems.keys() - same, labels.stems.keys() - same
    for key_of_label in (folded, lambda stem: without_label_word(stem) or ""):
        of_masks, of_labels = _by_key(left, folded), _by_key(right, key_of_label)
        found = [
            (of_masks[key][0], those[0])
            for key, those in of_labels.items()
            if len(those) == len(of_masks.get(key, ())) == 1
        ]
        pairs += found
        left, right = left - {mask for mask, _ in found}, right - {label for _, label in found}
    pairs += [(stem, "") for stem in left if not masks.lossy(stem)]
    pairs += [("", stem) for stem in right if not labels.lossy(stem)]
    return sorted(pairs, key=lambda pair: pair[0] or pair[1])


def _by_key(stems: Iterable[str], key_of: Callable[[str], str]) -> dict[str, list[str]]:
    by_key: dict[str, list[str]] = {}
    for stem in stems:
        by_key.setdefault(key_of(stem), []).append(stem)
    return by_key


def count_pairs(pred: Path, gt: Path) -> int:
    """Return the number of complete pairs.

    Raises:
        NoInputError: one of the folders is missing, or no mask has a label.
    """
    for folder, name in ((pred, "pred"), (gt, "gt")):
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise NoInputError(f"{shown(folder)} {what}.", "Give a folder.", field=name)
    whole = only_masks = only_labels = 0
    for pair in walk_pairs(pred, gt):
        whole += bool(pair.pred and pair.label)
        only_masks += bool(pair.pred and not pair.label)
        only_labels += bool(pair.label and not pair.pred)
    if not whole:
        raise NoInputError(
            f"No mask in {shown(pred)} ({only_masks} files) has a label in {shown(gt)} ({only_labels} files).",
            "A pair has the same relative path below the two folders, such as MASKS/x/a.png and LABELS/x/a.png.",
        )
    return whole


def _list(root: Path, below: str) -> _Listing:
    found = _Listing()
    try:
        with os.scandir(root / below) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.folders.add(entry.name)
                elif not entry.is_dir():
                    found.add(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        pass  # only the other tree has this folder; its files have no partner
    except OSError as error:
        found.problem = f"the folder cannot be read: {error.strerror or error}"
    return found
