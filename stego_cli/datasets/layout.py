"""The layout of a data set: `NAME/imgs/SPLIT/x/a.jpg` goes with `NAME/labels/SPLIT/x/a.png`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Folders:
    """Photographs, and labels that mirror them, if there are any."""

    photos: Path
    labels: Path | None

    def label_of(self, photo: Path) -> Path | None:
        """Return the place of the label of a photograph, whether or not it exists."""
        return self.labels and self.labels / photo.relative_to(self.photos).with_suffix(".png")


def split_folders(data: Path, split: str) -> Folders:
    """Return the folders of one split of a data set; they need not exist."""
    return Folders(data / "imgs" / split, data / "labels" / split)


def training_folders(given: Path, labels: Path | None) -> Folders:
    """Return what to train on: the split `train` of a data set, or else a folder of photographs.

    Args:
        given: what the user named; a data set is known by its folder imgs/train.
        labels: labels that the user named, which go before those of the layout.
    """
    layout = split_folders(given, "train")
    if not layout.photos.is_dir():
        return Folders(given.parent if given.is_file() else given, labels)
    if labels is None and layout.labels is not None and layout.labels.is_dir():
        labels = layout.labels
    return Folders(layout.photos, labels)
