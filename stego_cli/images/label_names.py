"""Words in file names by which labels are told from photographs: `a_mask.png` is the label of `a.jpg`."""

from __future__ import annotations

import re
import unicodedata

# What the name of a label may end or begin with, apart from the name of its photograph.
_LABEL_WORDS = (
    "annot", "annotation", "annotations", "classes", "gt", "gtcoarse", "gtcoarse_labelids", "gtcoarse_labeltrainids",
    "gtfine", "gtfine_labelids", "gtfine_labeltrainids", "groundtruth", "ground_truth", "label", "label_ids",
    "label_train_ids", "labelids", "labelmap", "labels", "labeltrainids", "mask", "masks", "seg", "segm",
    "segmentation", "segmentations", "semantic", "target", "trainids",
)  # fmt: skip
# The same for pictures of labels that are to look at, and for instances, which are not classes.
_OTHER_WORDS = (
    "blend", "color", "colors", "colour", "gtcoarse_color", "gtcoarse_instanceids", "gtfine_color",
    "gtfine_instanceids", "instance", "instance_ids", "instanceids", "instances", "label_color", "mask_color",
    "overlay", "vis", "visualization",
)  # fmt: skip
_PHOTO_WORDS = ("im", "image", "img", "leftimg8bit", "photo", "rgb", "sat")
_BETWEEN = " ._-"
_NUMBER = re.compile(r"(?<=[A-Za-z])[ ._-]?[0-9]{1,3}$")


def folded(name: str) -> str:
    """Return a name as file systems compare it that ignore case and the form of accents."""
    return unicodedata.normalize("NFC", name).casefold()


def without_label_word(stem: str) -> str | None:
    """Return the stem of a label without the word that marks it; None without one.

    "a_mask", "mask-a" and "a_mask_0" have the stem "a".
    """
    return _without(stem, _LABEL_WORDS) or _without(_NUMBER.sub("", stem), _LABEL_WORDS, before=False)


def without_photo_word(stem: str) -> str | None:
    """Return the stem of a photograph without the word that marks it as one ("a_sat" -> "a"); None without one."""
    return _without(stem, _PHOTO_WORDS)


def without_other_word(stem: str) -> str | None:
    """Return the stem of an overlay, a coloured label or instances without its word; None without one."""
    return _without(stem, _OTHER_WORDS)


def has_number(stem: str) -> bool:
    """Return whether a number follows the word that marks a label ("a_mask_0"), as for one of several objects."""
    return _without(stem, _LABEL_WORDS) is None and without_label_word(stem) is not None


def _without(stem: str, words: tuple[str, ...], before: bool = True) -> str | None:
    lower = folded(stem)
    for word in sorted(words, key=len, reverse=True):
        if lower.endswith(word) and lower[: -len(word)].endswith(tuple(_BETWEEN)):
            return lower[: -len(word)].rstrip(_BETWEEN) or None
        if before and lower.startswith(word) and len(word) > 1 and lower[len(word) :].startswith(tuple(_BETWEEN)):
            return lower[len(word) :].lstrip(_BETWEEN) or None
    return None
