"""Counts over all items of a data set, by split."""

from __future__ import annotations

from dataclasses import replace

from stego_cli.classes import VOID, ClassTable, numbered
from stego_cli.datasets.about import About, Split
from stego_cli.datasets.inventory import Inventory
from stego_cli.datasets.write import Written
from stego_cli.palette import palette

_FIRST = ("train", "val")  # before all other splits


class SplitCounts:
    """Adds up what was written, by split.

    Attributes:
        photos: paths of the photographs.
        splits: counts.
        failures: item and reason of those that were left out.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        names = dict.fromkeys(item.split for item in inventory.items)
        self.photos: dict[str, list[str]] = {name: [] for name in sorted(names, key=lambda name: name not in _FIRST)}
        self.splits = {name: Split(pixels=[0] * VOID, images=[0] * VOID) for name in self.photos}
        self.failures: list[tuple[str, str]] = []

    def add(self, written: Written) -> None:
        """Count one item."""
        name = written.key.split("/")[0]
        if written.error:
            self.failures.append((written.key, written.error))
            return
        split = self.splits[name]
        self.photos[name] += written.photos
        split.photographs += len(written.photos)
        split.labels += written.labels
        for index, count in written.pixels.items():
            if index == VOID:
                split.void += count
            else:
                split.pixels[index] += count
                split.images[index] += written.images[index]

    def about(self, name: str, prepared: dict[str, object]) -> About:
        """Return the content of dataset.json; without named classes there are as many as the labels use."""
        table = self._inventory.table if any(split.labels for split in self.splits.values()) else None
        if self._inventory.table is None:
            used = max(
                (at + 1 for split in self.splits.values() for at, count in enumerate(split.pixels) if count), default=0
            )
            colours = [*self._inventory.colours, *palette(VOID)[len(self._inventory.colours) :]]
            table = ClassTable(numbered(used).names, tuple(colours[:used])) if used else None
        count = len(table.names) if table else 0
        splits = {
            key: replace(split, pixels=split.pixels[:count], images=split.images[:count])
            for key, split in self.splits.items()
        }
        return About(name, table, splits, prepared, self._inventory.values)
