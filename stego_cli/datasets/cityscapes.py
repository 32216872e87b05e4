"""Cityscapes: leftImg8bit_trainvaltest.zip with the photographs and gtFine_trainvaltest.zip with the labels.

The label ids 7 to 33 are the classes 0 to 26; all other ids are void. The split `test` is left out, since its labels
are not public.
"""

from __future__ import annotations

from stego_cli.classes import TABLES
from stego_cli.datasets.from_bytes import class_map, mapping_of
from stego_cli.datasets.inventory import ClassMap, Inventory, Item
from stego_cli.datasets.source import Files, after
from stego_cli.errors import SourceError
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_FIRST = 7  # label id of the first class
_MAPPING = mapping_of({_FIRST + index: index for index in range(len(TABLES["cityscapes"].names))})


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find photographs and labels of `train` and `val`; a photograph's city is part of its name.

    Raises:
        SourceError: it is not Cityscapes, or not all of it.
    """
    photos = {(found[1], found[2]): name for name, found in after(r"(train|val)/[^/]+/([^/]+)_leftImg8bit\.png", files)}
    labels = {
        (found[1], found[2]): name for name, found in after(r"(train|val)/[^/]+/([^/]+)_gtFine_labelIds\.png", files)
    }
    if not photos:
        raise SourceError(
            f"{files.given} is not Cityscapes: it has no train/CITY/*_leftImg8bit.png.",
            "Give leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, or a folder that has both.",
        )
    missing = sorted(name for key, name in photos.items() if labels and key not in labels)
    if missing:
        raise SourceError(
            f"{len(missing)} photographs have no *_gtFine_labelIds.png; the first is {shown(missing[0])}.",
            "Download gtFine_trainvaltest.zip again.",
        )
    items = [
        Item(split, stem, name, (labels[split, stem],) if labels else ())
        for (split, stem), name in sorted(photos.items())
    ]
    notes = [] if labels else ["The source has no labels (gtFine)."]
    return Inventory(items, TABLES["cityscapes"], _label, notes=notes)


def _label(item: Item, contents: list[bytes]) -> ClassMap:
    return class_map(contents[0], _MAPPING)
