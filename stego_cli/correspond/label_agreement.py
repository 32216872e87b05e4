"""How well correspondences predict that two pixels share a label (paper, section 3.1): precision and recall.

Two sets of 121 random labelled pixels are drawn from each photograph. The first set is paired with the second set of
the same photograph ("within"), of one of its 7 nearest neighbours ("neighbour"), and of another photograph at random
("other"): the same pairs as in the three terms of the loss. No pixel is paired with itself. Pairs are counted in fine
bins of their correspondence, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stego_cli.correspond.describer import Describer
from stego_cli.datasets.layout import Folders
from stego_cli.errors import NoInputError, PhotoError
from stego_cli.images.decode import decode
from stego_cli.text import shown
from stego_cli.training.cached import compute_features
from stego_cli.training.context import RunContext
from stego_cli.training.correspondence import correspondence
from stego_cli.training.features import FeatureCache
from stego_cli.training.linear_probe import sample_as_upsampled
from stego_cli.training.neighbours import nearest_neighbours
from stego_cli.training.pairs import derangement
from stego_cli.training.probe_labels import LabelledPoints, read_labels
from stego_cli.training.views import Cut, survey

PAIRINGS = ("within", "neighbour", "other")
ALL = "all"  # the three together
_POINTS = 121  # in each of the two sets: the paper's 11 x 11
_NEIGHBOURS = 7
_BINS = 20_000  # over -1 to 1
_MEMORY = 1_000_000_000  # bytes; larger features go to a file
_LARGEST_DISTANCE = 255 * 3**0.5  # between two colours


@dataclass(frozen=True)
class Curve:
    """Precision over recall.

    Attributes:
        recall: float64 (n,), rising to 1: share of the pairs with equal labels that lie above a threshold.
        precision: float64 (n,), 0 to 1: share of the pairs above the threshold whose labels are equal.
        average_precision: mean precision, weighted by the increase of recall, 0 to 1.
    """

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    average_precision: float


@dataclass(frozen=True)
class Agreement:
    """How well correspondences predict equal labels.

    Attributes:
        curves: by kind ("F", "S", "colour") and pairing ("all" and those of PAIRINGS that occur).
        base_rates: by pairing: share of pairs with equal labels, which is the average precision of guessing.
        pairs: by pairing: number of pairs.
        photographs: number of photographs used.
        failed: photographs that could not be decoded, with the reason.
    """

    curves: dict[str, dict[str, Curve]]
    base_rates: dict[str, float]
    pairs: dict[str, int]
    photographs: int
    failed: list[tuple[Path, str]]


def label_agreement(
    describer: Describer, folders: Folders, photos: list[Path], limit: int, seed: int, context: RunContext
) -> Agreement:
    """Measure how well F, S and plain colour predict that two pixels share a label.

    Args:
        describer: computes features and codes.
        folders: where the labels lie; 255 is void.
        photos: to draw from; those without a label are skipped.
        limit: at most this many are drawn.
        seed: of everything that is drawn.
        context: shows stages; features that do not fit in memory go to a file in its folder.

    Raises:
        NoInputError: no photograph has a label with a class in it.
        Stopped: a signal arrived.
    """
    generator = torch.Generator().manual_seed(seed)
    labelled_photos = [photo for photo in photos if (file := folders.label_of(photo)) and file.is_file()]
    if not labelled_photos:
        raise NoInputError(f"No photograph in {shown(folders.photos)} has a label in {shown(folders.labels or '')}.")
    drawn = torch.randperm(len(labelled_photos), generator=generator)[:limit].sort().values.tolist()
    cut = Cut(describer.res, describer.backbone.row.patch)
    found = survey([labelled_photos[index] for index in drawn], cut)
    cache = compute_features(describer.backbone, found, _MEMORY, context)
    labelled = read_labels(cache.paths, folders, generator, context.progress)
    if labelled is None:
        raise NoInputError(f"No pixel of the labels in {shown(folders.labels or '')} has a class.")
    photographs, counts = _count(describer, cache, labelled, generator)
    used = [pairing for pairing in PAIRINGS if counts["F"][pairing].sum()]
    for by_pairing in counts.values():
        by_pairing[ALL] = sum((by_pairing[pairing] for pairing in used), torch.zeros(2, _BINS, dtype=torch.int64))
    shown_pairings = [ALL, *used]
    sums = {pairing: counts["F"][pairing].sum(1).tolist() for pairing in shown_pairings}
    return Agreement(
        curves={kind: {pairing: curve(of[pairing]) for pairing in shown_pairings} for kind, of in counts.items()},
        base_rates={pairing: same / (same + different) for pairing, (different, same) in sums.items()},
        pairs={pairing: sum(both) for pairing, both in sums.items()},
        photographs=photographs,
        failed=cache.failed,
    )


def curve(counts: Tensor) -> Curve:
    """Return the precision-recall curve of pairs that are counted by similarity.

    Args:
        counts: int64 (2, bins): pairs with different labels, and with equal ones; the last bin is the most similar.
            Thresholds lie between bins.
    """
    different, same = counts.flip(1).cumsum(1).double().numpy()
    steps = (different + same) > np.concatenate([[0], (different + same)[:-1]])
    different, same = different[steps], same[steps]
    precision = same / (different + same)
    recall = same / max(1.0, float(same[-1])) if len(same) else same
    return Curve(recall, precision, float((np.diff(recall, prepend=0.0) * precision).sum()))


def as_json(agreement: Agreement) -> dict[str, Any]:
    """Return plain data: the metrics, and precision at recalls of 0.01 to 1."""
    levels = np.arange(1, 101) / 100

    def precisions(of: Curve) -> list[float]:
        at = np.searchsorted(of.recall, levels - 1e-12).clip(max=len(of.recall) - 1)
        return [round(value, 6) for value in of.precision[at].tolist()]

    return {
        "photographs": agreement.photographs,
        "failed": [{"path": shown(path), "reason": reason} for path, reason in agreement.failed],
        "pairs": agreement.pairs,
        "base_rate": agreement.base_rates,
        "average_precision": {
            kind: {pairing: each.average_precision for pairing, each in curves.items()}
            for kind, curves in agreement.curves.items()
        },
        "recall": levels.tolist(),
        "precision": {
            kind: {pairing: precisions(each) for pairing, each in curves.items()}
            for kind, curves in agreement.curves.items()
        },
    }


def _count(
    describer: Describer, cache: FeatureCache, labelled: LabelledPoints, generator: torch.Generator
) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """Return the number of photographs, and the pairs by kind and pairing, int64 (2, bins) as for `curve`."""
    sets, classes, photos = _two_sets(describer, cache, labelled)
    kinds = list(sets)
    counts = {kind: {pairing: torch.zeros(2, _BINS, dtype=torch.int64) for pairing in PAIRINGS} for kind in kinds}
    for pairing, first, second in _pairings(cache.pooled[photos], generator):
        same = classes[first, 0][:, None] == classes[second, 1][None]  # (P, P)
        for kind, values in sets.items():
            one, other = values[first, 0].float()[None], values[second, 1].float()[None]
            if kind == "colour":
                similarity = 1 - 2 * torch.cdist(one, other) / _LARGEST_DISTANCE
            else:
                similarity = correspondence(one, other)
            bins = ((similarity[0] + 1) / 2 * _BINS).long().clamp(0, _BINS - 1)
            counts[kind][pairing] += torch.bincount((bins + _BINS * same).flatten(), minlength=2 * _BINS).view(2, -1)
    return len(photos), counts


def _two_sets(
    describer: Describer, cache: FeatureCache, labelled: LabelledPoints
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return two sets of points of each of n photographs: their descriptions, their classes, and the photographs.

    Returns:
        Descriptions by kind, float16 (n, 2, P, C); classes, int64 (n, 2, P); rows of the cache, int64 (n,).
    """
    each = int((labelled.photos == labelled.photos[0]).sum())  # read_labels draws the same number for all
    photos = labelled.photos[::each]
    points = min(_POINTS, each // 2)
    places = labelled.places.view(len(photos), each, 2)[:, : 2 * points]
    classes = labelled.classes.view(len(photos), each)[:, : 2 * points].view(len(photos), 2, points)
    found: dict[str, list[Tensor]] = {}
    for index, at in zip(photos.tolist(), places, strict=True):
        features = sample_as_upsampled(cache, torch.full((2 * points,), index), at)  # (2 P, C)
        found.setdefault("F", []).append(features.half())
        if describer.head is not None:
            with torch.inference_mode():
                codes = describer.head(features.to(describer.device)).cpu()
            found.setdefault("S", []).append(torch.nn.functional.normalize(codes, dim=1).half())
        found.setdefault("colour", []).append(_colours(cache.paths[index], at, describer))
    sets = {kind: torch.stack(values).view(len(photos), 2, points, -1) for kind, values in found.items()}
    return sets, classes, photos


def _colours(path: Path, places: Tensor, describer: Describer) -> Tensor:
    """Return the RGB (0 to 255) of pixels at places (P, 2) of a photograph at the size described, float16 (P, 3)."""
    try:
        pixels = torch.from_numpy(decode(path, describer.res, describer.backbone.row.patch).pixels.copy())
    except PhotoError:  # it has changed since its features were computed
        return torch.zeros(len(places), 3, dtype=torch.float16)
    height, width = pixels.shape[:2]
    columns, rows = (places * torch.tensor([width, height])).long().unbind(1)
    return pixels[rows.clamp(max=height - 1), columns.clamp(max=width - 1)].half()


def _pairings(pooled: Tensor, generator: torch.Generator) -> Iterator[tuple[str, int, int]]:
    """Yield (pairing, first, second) for n photographs with mean features (n, C); one alone only has "within"."""
    count = len(pooled)
    yield from (("within", index, index) for index in range(count))
    if count > 1:
        near = nearest_neighbours(pooled, _NEIGHBOURS)
        rank = torch.randint(near.shape[1], (count,), generator=generator)
        yield from (("neighbour", index, int(near[index, rank[index]])) for index in range(count))
        order = derangement(count, generator).tolist()
        yield from (("other", index, second) for index, second in enumerate(order))
