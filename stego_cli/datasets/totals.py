"""What all examples of a data set come to, by split."""

from __future__ import annotations

from dataclasses import replace

from stego_cli.classes import VOID, ClassTable, numbered
from stego_cli.datasets.about import About, Split
from stego_cli.datasets.example import Plan
from stego_cli.datasets.write import Written
from stego_cli.palette import palette

_SPLITS = ("train", "val")  # before all others


class Totals:
    """What all examples come to, by split."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        names = dict.fromkeys(example.split for example in plan.examples)
        self.photos: dict[str, list[str]] = {name: [] for name in sorted(names, key=lambda name: name not in _SPLITS)}
        self.splits = {name: Split(pixels=[0] * VOID, images=[0] * VOID) for name in self.photos}
        self.failures: list[tuple[str, str]] = []

    def add(self, written: Written) -> None:
        """Count one example."""
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
        """Return what `dataset.json` will say; classes that nobody named are as many as the labels use."""
        table = self._plan.table if any(split.labels for split in self.splits.values()) else None
        if self._plan.table is None:
            used = max(
                (at + 1 for split in self.splits.values() for at, count in enumerate(split.pixels) if count), default=0
            )
            colours = [*self._plan.colours, *palette(VOID)[len(self._plan.colours) :]]
            table = ClassTable(numbered(used).names, tuple(colours[:used])) if used else None
        count = len(table.names) if table else 0
        splits = {
            key: replace(split, pixels=split.pixels[:count], images=split.images[:count])
            for key, split in self.splits.items()
        }
        return About(name, table, splits, prepared)
