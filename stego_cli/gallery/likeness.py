"""Which classes are alike, which of their regions are typical, and which are doubtful.

With kept probabilities the doubt of a region is what its class lacks to certainty, 1 less its mean probability.
Without them it is told from the look alone: d / (d + e), where d is how far the region looks from the mean of its
own class, in that class's standard deviations, and e how far from the nearest other class. Half means that it looks
as much like another class. That is a hint where to look, and no probability; the page says which of the two it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stego_cli.gallery.survey import LOOKS, Floats, Regions

_LEAST_SPREAD = 0.03  # a class that was seen once has no spread of its own


@dataclass(frozen=True)
class AllRegions:
    """The regions of all photographs, R of them: as `Regions`, and the photograph of each."""

    photographs: NDArray[np.int64]
    numbers: NDArray[np.uint8]
    areas: Floats
    boxes: Floats
    looks: Floats
    doubts: Floats


def together(regions: Sequence[Regions | None]) -> AllRegions:
    """Return the regions of all photographs in one table; None where a photograph could not be looked at."""
    there = [(index, each) for index, each in enumerate(regions) if each is not None]
    empty = Regions(np.zeros(0, np.uint8), *(np.zeros(shape, np.float32) for shape in (0, (0, 4), (0, LOOKS), 0)))
    parts = [each for _, each in there] or [empty]
    return AllRegions(
        np.concatenate([np.full(len(each.numbers), index, np.int64) for index, each in there] or [np.zeros(0, int)]),
        np.concatenate([each.numbers for each in parts]),
        np.concatenate([each.areas for each in parts]),
        np.concatenate([each.boxes for each in parts]),
        np.concatenate([each.looks for each in parts]),
        np.concatenate([each.doubts for each in parts]),
    )


@dataclass(frozen=True)
class Looks:
    """How the regions of each class look.

    Attributes:
        numbers: of the classes, C of them.
        means: (C, LOOKS); `spreads`: standard deviations.
        distances: (R, C) of each region to each class, in the class's standard deviations.
    """

    numbers: NDArray[np.uint8]
    means: Floats
    spreads: Floats
    distances: Floats

    def own(self, regions: AllRegions) -> Floats:
        """Return each region's distance to its own class, (R,)."""
        columns = np.searchsorted(self.numbers, regions.numbers)
        distances: Floats = self.distances[np.arange(len(columns)), columns]
        return distances

    def nearest_other(self, regions: AllRegions) -> Floats:
        """Return each region's distance to the nearest other class, (R,); infinite where there is one class only."""
        distances = self.distances.copy()
        distances[np.arange(len(regions.numbers)), np.searchsorted(self.numbers, regions.numbers)] = np.inf
        nearest: Floats = distances.min(1, initial=np.inf)
        return nearest


def looks_of(regions: AllRegions) -> Looks:
    """Return how the regions of each class look, weighted by their areas."""
    numbers = np.unique(regions.numbers)
    overall = np.maximum(regions.looks.std(0), _LEAST_SPREAD) if len(regions.looks) else np.ones(LOOKS)
    means, spreads = [], []
    for number in numbers:
        own = regions.numbers == number
        weights = regions.areas[own] + 1e-6
        mean = np.average(regions.looks[own], axis=0, weights=weights)
        spread = np.sqrt(np.average((regions.looks[own] - mean) ** 2, axis=0, weights=weights))
        means.append(mean)
        spreads.append(np.maximum(spread, 0.5 * overall))  # few regions would make too small a spread
    mean_rows = np.array(means, np.float32).reshape(-1, LOOKS)
    spread_rows = np.array(spreads, np.float32).reshape(-1, LOOKS)
    scaled = (regions.looks[:, None] - mean_rows) / spread_rows
    return Looks(numbers, mean_rows, spread_rows, np.sqrt((scaled**2).mean(2)).astype(np.float32))


def doubts_of(regions: AllRegions, looks: Looks) -> tuple[Floats, bool]:
    """Return the doubt of each region, 0 to 1, and whether it is from probabilities (of every region)."""
    if len(regions.doubts) and not np.isnan(regions.doubts).any():
        return regions.doubts, True
    own, other = looks.own(regions), looks.nearest_other(regions)
    with np.errstate(invalid="ignore"):
        doubts = np.where(np.isinf(other), 0.0, own / np.maximum(own + other, 1e-6))
    return doubts.astype(np.float32), False


def alike_in_look(looks: Looks) -> Floats:
    """Return (C, C), 1 for the same look and less the more standard deviations lie between two classes."""
    spreads = np.sqrt((looks.spreads[:, None] ** 2 + looks.spreads[None] ** 2) / 2)
    distances = np.sqrt((((looks.means[:, None] - looks.means[None]) / spreads) ** 2).mean(2))
    alike: Floats = np.exp(-distances / 2).astype(np.float32)
    return alike
