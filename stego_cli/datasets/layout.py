"""The layout of a data set: `NAME/imgs/SPLIT/x/a.jpg` has its label at `NAME/labels/SPLIT/x/a.png`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stego_cli.classes import ClassTable
from stego_cli.datasets.about import About, find_about, read_about

PHOTOS, LABELS = "imgs", "labels"
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Folders:
    """Photographs, labels that mirror them if there are any, and the classes if the data set has a dataset.json."""

    photos: Path
    labels: Path | None
    table: ClassTable | None = None

    def label_of(self, photo: Path) -> Path | None:
        """Return the path of the label of a photograph, whether or not it exists."""
        return self.labels and self.labels / photo.relative_to(self.photos).with_suffix(".png")


def split_folders(data: Path, split: str) -> Folders:
    """Return the folders of one split of a data set; they need not exist.

    Raises:
        UsageError: its dataset.json is broken.
    """
    about = read_about(data)
    return Folders(data / PHOTOS / split, data / LABELS / split, about.table if about else None)


def training_folders(given: Path, labels: Path | None) -> Folders:
    """Return what to train on: the split `train` of a data set, or else a folder of photographs.

    Args:
        given: by the user; a data set is recognised by its folder imgs/train.
        labels: given by the user, instead of those of the data set.

    Raises:
        UsageError: the data set's dataset.json is broken.
    """
    layout = split_folders(given, "train")
    if not layout.photos.is_dir():
        return Folders(given.parent if given.is_file() else given, labels)
    if labels is not None:
        return Folders(layout.photos, labels)
    return Folders(layout.photos, layout.labels if layout.labels and layout.labels.is_dir() else None, layout.table)


def photographs_of(given: Path) -> tuple[Path, bool]:
    """Return the folder of the photographs in a folder or data set, and whether it is a data set with labels."""
    is_data = (given / LABELS).is_dir() and any((given / PHOTOS / split).is_dir() for split in SPLITS)
    return (given / PHOTOS, True) if is_data else (given, False)


def scored_folders(pred: Path, gt: Path) -> tuple[Path, Path]:
    """Return the folders of masks and labels to compare; if `gt` is a data set, those of its split val,
    or else of another split with labels.

    Masks are then taken from the split's folder, if there is one.
    """
    for split in ("val", "test", "train"):
        labels = gt / LABELS / split
        if labels.is_dir() and (gt / PHOTOS).is_dir():
            masks = next((pred / below for below in (split, f"{PHOTOS}/{split}") if (pred / below).is_dir()), pred)
            return masks, labels
    return pred, gt


def labels_of_data(labels: Path) -> tuple[About | None, Path | None]:
    """Return the dataset.json of the data set that a folder of labels belongs to, and the folder of its photographs.

    Raises:
        UsageError: its dataset.json is broken.
    """
    found = find_about(labels)
    if found is None or not labels.absolute().is_relative_to(found[0] / LABELS):
        return None, None
    root, about = found
    return about, root / PHOTOS / labels.absolute().relative_to(root / LABELS)
