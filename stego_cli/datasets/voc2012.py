"""PASCAL VOC 2012: VOCdevkit/VOC2012 with JPEGImages, SegmentationClass and ImageSets/Segmentation.

Labels are palette PNGs of 21 classes whose outlines are void (255); they are copied.
"""

from __future__ import annotations

from stego_cli.classes import TABLES
from stego_cli.datasets.from_bytes import class_map
from stego_cli.datasets.inventory import UNLABELLED, ClassMap, Inventory, Item
from stego_cli.datasets.source import Files
from stego_cli.errors import SourceError
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_LISTS = "ImageSets/Segmentation"


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find the photographs of the lists train.txt and val.txt, and with `unlabelled` all others too.

    Raises:
        SourceError: it is not VOC 2012, or not all of it.
    """
    root = files.root_of(f"{_LISTS}/train.txt", prefer="VOC2012")
    if root is None:
        raise SourceError(
            f"{files.given} is not VOC 2012: it has no {_LISTS}/train.txt.",
            "Give VOCtrainval_11-May-2012.tar, or the folder that it unpacks to.",
        )
    labelled = any(name.startswith(f"{root}SegmentationClass/") for name in files)
    items, missing, used = [], [], set()
    for split in ("train", "val"):
        if f"{root}{_LISTS}/{split}.txt" not in files:
            continue
        for name in files.lines(f"{root}{_LISTS}/{split}.txt"):
            photo, label = f"{root}JPEGImages/{name}.jpg", f"{root}SegmentationClass/{name}.png"
            missing += [file for file in (photo, label) if file not in files and (file == photo or labelled)]
            items.append(Item(split, name, photo, (label,) if labelled else ()))
            used.add(photo)
    if missing:
        raise SourceError(
            f"{len(missing)} files in the lists are missing; the first is {shown(missing[0])}.",
            "Download the archive again.",
        )
    if settings.unlabelled:
        photos = (name for name in files if name.startswith(f"{root}JPEGImages/") and name.endswith(".jpg"))
        others = sorted(name for name in photos if name not in used)
        items += [Item(UNLABELLED, name.rpartition("/")[2].removesuffix(".jpg"), name) for name in others]
    notes = [] if labelled else ["The source has no labels (SegmentationClass)."]
    return Inventory(items, TABLES["voc2012"], _label, as_is=True, notes=notes)


def _label(item: Item, contents: list[bytes]) -> ClassMap:
    return class_map(contents[0])
