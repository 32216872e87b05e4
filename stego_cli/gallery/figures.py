"""The figures on a gallery's page: of every class and of every photograph, from what was seen in the photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.gallery.crops import Crop, choose_crops
from stego_cli.gallery.likeness import AllRegions, Looks, alike_in_look, doubts_of, looks_of, together
from stego_cli.gallery.mask_tree import MaskTree
from stego_cli.gallery.survey import Floats, Seen
from stego_cli.text import shown

_ALIKE, _BORDERS = 3, 4  # classes that are listed


@dataclass(frozen=True)
class Findings:
    """What the regions of all photographs tell.

    Attributes:
        regions: R of them.
        looks: of the classes.
        doubts: (R,), 0 to 1; `from_probabilities`: whether the model's own.
        crops: "typical" and "doubtful" ones of each class.
    """

    regions: AllRegions
    looks: Looks
    doubts: Floats
    from_probabilities: bool
    crops: dict[str, dict[int, list[Crop]]]


def findings_of(seen: Sequence[Seen]) -> Findings:
    """Return what the regions of all photographs tell."""
    regions = together([each.regions for each in seen])
    looks = looks_of(regions)
    doubts, from_probabilities = doubts_of(regions, looks)
    return Findings(regions, looks, doubts, from_probabilities, choose_crops(regions, looks, doubts))


def photograph_figures(tree: MaskTree, seen: Sequence[Seen], findings: Findings) -> dict[str, Any]:
    """Return a column for each fact, which a browser reads faster than a row for each photograph."""
    regions = findings.regions
    weights = np.bincount(regions.photographs, regions.areas, len(seen))
    weighted = np.bincount(regions.photographs, regions.areas * findings.doubts, len(seen))
    doubt = weighted / np.maximum(weights, 1e-9)
    return {
        "name": [shown(entry.path) for entry in tree.entries],
        "width": [each.size[0] for each in seen],
        "height": [each.size[1] for each in seen],
        "doubt": [round(float(value), 3) for value in doubt],
        "shares": [[value for number, share in each.shares for value in (number, round(share, 4))] for each in seen],
        "problem": {str(index): each.problem for index, each in enumerate(seen) if each.problem},
    }


def class_figures(
    tree: MaskTree, seen: Sequence[Seen], findings: Findings, centroids: Floats | None
) -> list[dict[str, Any]]:
    """Return a row for each class that is left.

    Args:
        tree: the masks.
        seen: what each photograph shows.
        findings: what the regions tell.
        centroids: (K, D) of the classes that were found, unit length; None: they are not known.
    """
    borders, pixels, regions = _borders(seen), tree.pixels, findings.regions
    total = pixels.total() or 1
    rows = []
    for entry in tree.edits.legend:
        number = entry.number
        own = regions.numbers == number
        areas = regions.areas[own]
        crops = {
            kind: [
                [crop.file, crop.photograph, round(float(findings.doubts[crop.region]), 3)] for crop in those[number]
            ]
            if number in those
            else []
            for kind, those in findings.crops.items()
        }
        rows.append(
            {
                "number": number,
                "share": pixels[entry.value] / total,
                "photographs": sum(entry.value in (each.pixels or {}) for each in tree.entries),
                "doubt": round(float(np.average(findings.doubts[own], weights=areas)), 3) if areas.sum() else 0,
                "borders": _largest(borders[number] / (borders[number].sum() or 1), _BORDERS),
                "alike": _largest(_likeness(tree, findings.looks, centroids, number), _ALIKE),
                **crops,
            }
        )
    return rows


def _borders(seen: Sequence[Seen]) -> NDArray[np.float64]:
    """Return (256, 256), the number of neighbouring pixels of each two classes."""
    borders = np.zeros((256, 256))
    for each in seen:
        for low, high, count in each.borders:
            borders[low, high] += count
            borders[high, low] += count
    return borders


def _likeness(tree: MaskTree, looks: Looks, centroids: Floats | None, number: int) -> NDArray[np.float64]:
    """Return (256,), how alike a class and each other are: cosine of their centroids, or without these by the look."""
    scores = np.full(256, -np.inf)
    if centroids is not None:
        means = {entry.number: centroids[list(entry.members)].mean(0) for entry in tree.edits.legend}
        for other, mean in means.items():
            lengths = np.linalg.norm(mean) * np.linalg.norm(means[number])
            scores[other] = float(mean @ means[number] / max(lengths, 1e-9))
    elif number in looks.numbers:
        scores[looks.numbers] = alike_in_look(looks)[np.searchsorted(looks.numbers, number)]
    scores[number] = -np.inf
    return scores


def _largest(values: NDArray[np.float64], count: int) -> list[list[float]]:
    """Return (index, value) of the largest values, largest first; those that are 0 or not finite are left out."""
    order = np.argsort(-values, kind="stable")[:count]
    return [
        [int(index), round(float(values[index]), 3)] for index in order if np.isfinite(values[index]) and values[index]
    ]
