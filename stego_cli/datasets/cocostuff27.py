"""COCO-Stuff in 27 classes: val2017.zip, train2017.zip and stuffthingmaps_trainval2017.zip.

The label maps have 182 values for things and stuff, from 0 (255 is void); 27 groups of them are the classes. Published
results are those of two curated lists of names, which are not ours and are taken from the source or from `lists`.
"""

from __future__ import annotations

from pathlib import Path

from stego_cli.classes import TABLES
from stego_cli.datasets.from_bytes import class_map, mapping_of
from stego_cli.datasets.inventory import UNLABELLED, ClassMap, Inventory, Item
from stego_cli.datasets.source import Files, after
from stego_cli.errors import SourceError
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_LISTS = {"train": "Coco164kFull_Stuff_Coarse.txt", "val": "Coco164kFull_Stuff_Coarse_7.txt"}
# Values of the label maps, in the order of the classes: the groups of COCO-Stuff's own hierarchy.
_GROUPS = (
    "71-76",  # electronic
    "77-82",  # appliance
    "51-60",  # food
    "61-70",  # furniture
    "83-90",  # indoor
    "43-50",  # kitchen
    "25-32",  # accessory
    "15-24",  # animal
    "9-14",  # outdoor
    "0",  # person
    "33-42",  # sports
    "1-8",  # vehicle
    "101-102",  # ceiling
    "100 113-117",  # floor
    "120-121 152 169",  # food-stuff
    "97 106-107 109 111 122 129 132 155 160 164",  # furniture-stuff
    "99 131 138 142",  # raw material
    "91-92 103-104 108 130 136 140 151 166-167",  # textile
    "170-176",  # wall
    "179-180",  # window
    "94-95 127 150 157 165",  # building
    "110 124-125 135 139 143-144 146 148 153 158",  # ground
    "93 96 118 123 128 133 141 162 168",  # plant
    "105 156",  # sky
    "126 134 149 159 161 181",  # solid
    "98 112 137 145 163",  # structural
    "119 147 154 177-178",  # water
)


def fine_to_coarse() -> dict[int, int]:
    """Return the class of each of the 182 values of the label maps."""
    classes = {}
    for index, group in enumerate(_GROUPS):
        for run in group.split():
            first, _, last = run.partition("-")
            classes.update(dict.fromkeys(range(int(first), int(last or first) + 1), index))
    return classes


_MAPPING = mapping_of(fine_to_coarse())


def find(files: Files, settings: PrepareSettings, progress: Progress) -> Inventory:
    """Find the photographs of the curated lists, or all where there is no list.

    Raises:
        SourceError: it is not COCO, or not all of it.
    """
    photos = {(found[1], found[2]): name for name, found in after(r"(train|val)2017/(\d{12})\.jpg", files)}
    labels = {(found[1], found[2]): name for name, found in after(r"(train|val)2017/(\d{12})\.png", files)}
    if not photos:
        raise SourceError(
            f"{files.given} is not COCO: it has no train2017/*.jpg or val2017/*.jpg.",
            "Give val2017.zip, train2017.zip and stuffthingmaps_trainval2017.zip, or a folder that has them.",
        )
    items: list[Item] = []
    notes = [] if labels else ["The source has no labels (stuffthingmaps)."]
    for split, list_name in _LISTS.items():
        here = sorted(stem for which, stem in photos if which == split)
        if not here:
            notes.append(f"The source has no {split}2017, so there is no split {split}.")
            continue
        listed = _listed(files, split, list_name)
        if listed is None:
            notes.append(
                f"There is no list {list_name}, so the split {split} is all {len(here)} photographs of {split}2017; "
                "published results are those of the list."
            )
        wanted = here if listed is None else listed
        missing = [stem for stem in wanted if (split, stem) not in photos or (labels and (split, stem) not in labels)]
        if missing:
            raise SourceError(
                f"{len(missing)} of the {len(wanted)} photographs of {split}2017 or their labels are missing; "
                f"the first is {shown(missing[0])}.",
                "Download the archives again.",
            )
        items += [Item(split, stem, photos[split, stem], (labels[split, stem],) if labels else ()) for stem in wanted]
        if settings.unlabelled and split == "train":
            others = sorted(set(here) - set(wanted))
            items += [Item(UNLABELLED, stem, photos[split, stem]) for stem in others]
    return Inventory(items, TABLES["cocostuff27"], _label, notes=notes)


def _listed(files: Files, split: str, name: str) -> list[str] | None:
    """Return the names in a curated list, each once; None if there is no list. One in the split's folder goes first."""
    found = sorted(file for file in files if Path(file).name == name)
    found.sort(key=lambda file: f"{split}2017/" not in file)
    if not found:
        return None
    return list(dict.fromkeys(Path(line).stem for line in files.lines(found[0])))


def _label(item: Item, contents: list[bytes]) -> ClassMap:
    return class_map(contents[0], _MAPPING)
