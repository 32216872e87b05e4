"""Cityscapes: leftImg8bit_trainvaltest.zip with the photographs and gtFine_trainvaltest.zip with the labels.

Classes are the label ids 7 to 33 less 7; all other ids are void. The labels of `test` are not public: it is left out.
"""

from __future__ import annotations

from stego_cli.classes import TABLES
from stego_cli.datasets.example import Example, Labels, Plan, PrepareSettings, ids_in, mapping_of
from stego_cli.datasets.source import Files, after
from stego_cli.errors import SourceError
from stego_cli.progress import Progress
from stego_cli.text import shown

_FIRST = 7  # label id of the first class
_MAPPING = mapping_of({_FIRST + index: index for index in range(len(TABLES["cityscapes"].names))})


def plan(files: Files, settings: PrepareSettings, progress: Progress) -> Plan:
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
            f"{' '.join(map(shown, settings.sources))} is not Cityscapes: it has no train/CITY/*_leftImg8bit.png.",
            "Give leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, or a folder that has both.",
        )
    missing = sorted(name for key, name in photos.items() if labels and key not in labels)
    if missing:
        raise SourceError(
            f"{len(missing)} photographs have no *_gtFine_labelIds.png, {shown(missing[0])} the first of them.",
            "Download gtFine_trainvaltest.zip again.",
        )
    examples = [
        Example(split, stem, name, (labels[split, stem],) if labels else ())
        for (split, stem), name in sorted(photos.items())
    ]
    notes = [] if labels else ["There are no labels (gtFine) in it."]
    return Plan(examples, TABLES["cityscapes"], _label, notes=notes)


def _label(names: tuple[str, ...], contents: list[bytes]) -> Labels:
    return ids_in(contents[0], _MAPPING)
