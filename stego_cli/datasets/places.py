"""What the folders and the name of a file tell: whether it is a photograph or a label, its split, and its own name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["photo", "label", "other", ""]  # "other": instances and pictures of labels; "": nothing is told

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# Folders of labels, the ones first that are preferred where a photograph has a label in several.
_LABELS = (
    "labels", "masks", "annotations", "label", "mask", "annotation", "segmentationclasspng", "segmentationclass",
    "segmentation", "segmentations", "semantic", "labelids", "labelmap", "labelmaps", "gt", "gts", "gtfine",
    "groundtruth", "groundtruths", "annot", "annots", "ann", "anns", "seg", "segs", "segm", "target", "targets",
    "segmentationclassnpy",
)  # fmt: skip
_PHOTOS = (
    "imgs", "images", "img", "image", "jpegimages", "photos", "photo", "photographs", "pictures", "rgb", "input",
    "inputs", "leftimg8bit", "frames",
)  # fmt: skip
_OTHERS = (
    "segmentationobject", "segmentationobjectpng", "segmentationobjectnpy", "segmentationclassvisualization",
    "segmentationobjectvisualization", "visualization", "visualizations", "overlays", "instances", "instance",
)  # fmt: skip
_ROLES: dict[str, Role] = {
    **dict.fromkeys(_PHOTOS, "photo"),
    **dict.fromkeys(_LABELS, "label"),
    **dict.fromkeys(_OTHERS, "other"),
}
# Words beside these that say nothing: sizes, years, versions, formats.
_NOISE = re.compile(r"v?\d+(x\d+)?|png|jpe?g|tiff?|npy|dir|all|raw|final|resized|set|data")
_FUSED = re.compile(
    f"({'|'.join(sorted(SPLITS, key=len, reverse=True))})({'|'.join(sorted(_ROLES, key=len, reverse=True))})"
)


@dataclass(frozen=True)
class Place:
    """Where a file is, by the words in the names of its folders.

    Attributes:
        name: of the file in the source, with its folders.
        role: what it is.
        rank: of its folder among folders of labels; the lower, the better.
        split: "train", "val" or "test"; empty if no folder tells.
        above: folders above the one that tells the role.
        below: folders below it, or all folders if none tells it, without the one that tells the split.
        with_split: the same after the folder that tells the split.
        stem, suffix: of the file's name.
    """

    name: str
    role: Role
    rank: int
    split: str
    above: tuple[str, ...]
    below: tuple[str, ...]
    with_split: tuple[str, ...]
    stem: str
    suffix: str


def place_of(name: str, roles: bool = True) -> Place:
    """Return what the folders and the name of a file tell; without `roles` only the split."""
    *folders, file = name.split("/")
    stem, dot, suffix = file.rpartition(".")
    if not stem:
        stem, dot, suffix = file, "", ""
    role: Role = ""
    rank, split, of_split = len(_LABELS), "", ""
    above: list[str] = []
    below: list[str] = []
    for folder in folders:
        its_role, its_split = _told(folder)
        if its_role and not roles:
            its_role, its_split = "", ""
        if not (its_role or its_split) or (its_role and role) or (its_split and split):
            below.append(folder)
            continue
        if its_split:
            split, of_split = SPLITS[its_split], folder
        if its_role:
            role, rank = _ROLES[its_role], _LABELS.index(its_role) if its_role in _LABELS else len(_LABELS)
            above, below = below, []
    with_split = (of_split, *below) if split else tuple(below)
    return Place(name, role, rank, split, tuple(above), tuple(below), with_split, stem, f"{dot}{suffix}".lower())


def _told(folder: str) -> tuple[str, str]:
    """Return the words for a role and for a split in a folder's name; both empty if it has other words too."""
    lower = folder.lower()
    whole = re.sub(r"[ _.-]", "", lower)
    if whole in _ROLES:
        return whole, ""
    role = split = ""
    for word in filter(None, re.split(r"[ _.-]+", lower)):
        fused = _FUSED.fullmatch(word)
        plain = word.rstrip("0123456789")  # "train2017"
        if fused:
            split, role = fused[1], fused[2]
        elif word in _ROLES:
            role = word
        elif plain in SPLITS:
            split = plain
        elif not _NOISE.fullmatch(word):
            return "", ""
    return role, split
