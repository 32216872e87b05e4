"""Which pictures in a tree look like masks, labels or the like of a photograph beside them, and are no photographs.

By name: what follows the name of the photograph is a word for labels (`a_mask.png`, `a_mask_0.png` beside `a.jpg`).
Where only the suffix differs (`a.png` beside `a.jpg`), the header decides: labels have a palette or grey values.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from stego_cli.regular_file import open_regular

# What the names of labels end with, after " ", ".", "_" or "-", beside a photograph that has the rest as its name.
_MASK_WORDS = (
    *("annot", "annotation", "annotations", "ground_truth", "groundtruth", "gt", "gtcoarse", "gtcoarse_color"),
    *("gtfine", "gtfine_color", "instance", "instance_ids", "instanceids", "instances", "label", "label_color"),
    *("label_ids", "labelids", "labels", "labeltrainids", "mask", "mask_color", "masks", "seg", "segm"),
    *("segmentation", "segmentations", "trainids"),
)
_PHOTO_WORDS = ("leftimg8bit", "rgb", "img", "image")  # what the photograph's own name may end with
_NUMBERED = re.compile(r"(.*[a-z])[ ._-]?[0-9]{1,3}", re.DOTALL)  # masks of several objects: a_mask_0, a_mask_1
_JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3  # colour types of a PNG


def mask_like(paths: Iterable[str], root: Path) -> tuple[list[str], list[str]]:
    """Return the paths that look like masks of others, and the rest; both in order.

    Args:
        paths: of pictures, relative to `root`.
        root: where they are; of PNGs beside a JPEG of the same name, the header is read.
    """
    by_stem = {path: _stem(path) for path in sorted(paths)}
    stems = set(by_stem.values())
    stems |= {shorter for stem in stems if (shorter := _without_word(stem, _PHOTO_WORDS))}
    jpegs = {stem for path, stem in by_stem.items() if path.lower().endswith(_JPEG)}
    masks: list[str] = []
    others: list[str] = []
    for path, stem in by_stem.items():
        is_twin = stem in jpegs and path.lower().endswith(".png")
        is_mask = _is_named_like_a_mask(stem, stems) or (is_twin and _has_numbers(root / path))
        (masks if is_mask else others).append(path)
    return masks, others


def _is_named_like_a_mask(stem: str, stems: set[str]) -> bool:
    numbered = _NUMBERED.fullmatch(stem) if stem[-1:].isdecimal() else None
    photo = _without_word(numbered[1] if numbered else stem, _MASK_WORDS)
    while photo and photo not in stems:
        photo = _without_word(photo, _MASK_WORDS)
    return photo is not None


def _without_word(stem: str, words: tuple[str, ...]) -> str | None:
    """Return a stem without the word that it ends with; None if that is none of `words`, or all of the name."""
    if not stem.endswith(words):
        return None
    word = max((word for word in words if stem.endswith(word)), key=len)
    rest = stem[: -len(word)]
    shorter = rest.rstrip(" ._-")
    return None if shorter in ("", rest) or shorter.endswith("/") else shorter


def _has_numbers(file: Path) -> bool:
    """Return whether a PNG has a palette or grey values, as labels have; what cannot be read counts as a photograph."""
    with contextlib.suppress(OSError), open_regular(file) as stream:
        head = stream.read(26)
        return head.startswith(_PNG) and head[25:26] in (bytes([_GREY]), bytes([_PALETTE]))
    return False


def _stem(path: str) -> str:
    name = os.path.splitext(path)[0]  # noqa: PTH122  (a Path costs more than it)
    return unicodedata.normalize("NFC", name).casefold()
