"""How a step draws its pairs: features and codes at random points of two photographs each.

The original (`paper_pairs`) applies the head to whole maps and samples the codes. It samples a photograph again in each
of the five negative pairings, at the second points of its partner, and uses one dropout mask for everything that is
sampled from a photograph. `short_pairs` samples the features first and applies the head to the points only; it samples
the points of the negatives once and permutes them, which has the same distribution. It needs three lookups and three
passes through the head, the original seven.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.model.head import Head, channel_dropout
from stego_cli.settings import TrainSettings
from stego_cli.training.calibration import Whitening
from stego_cli.training.features import FeatureCache

TERMS = ("negative", "inter", "intra")  # the order of weights and quantiles
NEGATIVE, INTER, INTRA = range(3)


@dataclass
class Batch:
    """The input of a step.

    Attributes:
        cache: holds the features.
        own: int64 (B,), the views' rows in the cache.
        near: int64 (B,), the row of a neighbour of each.
        mine: the part of the B views whose loss this process computes; a single process computes all.
        head: being trained, on `device`.
        whitening: applied to features before F is computed; None: not whitened.
        device: where the head is.
        code_maps: (b, h, w, D), codes of this process's own views; set by `paper_pairs`.
    """

    cache: FeatureCache
    own: Tensor
    near: Tensor
    mine: slice
    head: Head
    whitening: Whitening | None
    device: torch.device
    code_maps: Tensor | None = None


@dataclass(frozen=True)
class PointPairs:
    """Points of b pairs of photographs for one term of the loss.

    Attributes:
        term: index into TERMS.
        features: of the first and of the second photographs, (b, P, C) each, whitened or with dropout.
        codes: likewise, (b, P, D) each.
    """

    term: int
    features: tuple[Tensor, Tensor]
    codes: tuple[Tensor, Tensor]


def short_pairs(batch: Batch, settings: TrainSettings, generator: torch.Generator) -> Iterator[PointPairs]:
    """Yield the pairs of a step of the scheme "auto"."""
    count, mine, whole = len(batch.own), batch.mine, slice(None)
    first, second = torch.rand(2, count, settings.points**2, 2, generator=generator) * 2 - 1
    places = {
        "own": (batch.own, first, mine),
        "near": (batch.near, second, mine),
        "other": (batch.own, second, whole),  # permuted below: each process needs all
    }
    features, codes = {}, {}
    for name, (views, points, part) in places.items():
        values = batch.cache.sample(views[part], points[part]).to(batch.device)  # (b, P, C)
        width = values.shape[2]
        masks = [channel_dropout(count, width, settings.dropout, generator)[part].to(values) for _ in range(2)]
        codes[name] = batch.head(values, (masks[0], masks[1]))
        if batch.whitening is None:
            values = values * channel_dropout(count, width, settings.dropout, generator)[part].to(values)
        features[name] = values if batch.whitening is None else batch.whitening(values)
    yield PointPairs(INTRA, (features["own"], features["own"]), (codes["own"], codes["own"]))
    yield PointPairs(INTER, (features["own"], features["near"]), (codes["own"], codes["near"]))
    for _ in range(settings.permutations):
        order = derangement(count, generator)[mine]
        yield PointPairs(NEGATIVE, (features["own"], features["other"][order]), (codes["own"], codes["other"][order]))


def paper_pairs(batch: Batch, settings: TrainSettings, generator: torch.Generator) -> Iterator[PointPairs]:
    """Yield the pairs of a step of the scheme "paper", the original's; the grids of all views have one shape."""
    count, mine = len(batch.own), batch.mine
    first, second = torch.rand(2, count, settings.points**2, 2, generator=generator).to(batch.device) * 2 - 1
    features, codes = _maps(batch, batch.own, slice(None), settings, generator)
    near_features, near_codes = _maps(batch, batch.near, mine, settings, generator)
    batch.code_maps = codes[mine]
    own = sample_maps(features[mine], first[mine]), sample_maps(codes[mine], first[mine])
    near = sample_maps(near_features, second[mine]), sample_maps(near_codes, second[mine])
    yield PointPairs(INTRA, (own[0], own[0]), (own[1], own[1]))
    yield PointPairs(INTER, (own[0], near[0]), (own[1], near[1]))
    for _ in range(settings.permutations):
        order = derangement(count, generator)[mine].to(batch.device)
        other = sample_maps(features[order], second[mine]), sample_maps(codes[order], second[mine])
        yield PointPairs(NEGATIVE, (own[0], other[0]), (own[1], other[1]))


def _maps(
    batch: Batch, views: Tensor, part: slice, settings: TrainSettings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return whole maps of the features that F is computed from and of codes, (b, h, w, C) and (b, h, w, D)."""
    maps = batch.cache.maps(views[part]).to(batch.device)
    drawn = [
        channel_dropout(len(views), maps.shape[3], settings.dropout, generator)[part, :, None].to(maps)
        for _ in range(3)
    ]
    return maps * drawn[2], batch.head(maps, (drawn[0], drawn[1]))


def sample_maps(maps: Tensor, points: Tensor) -> Tensor:
    """Return maps (b, h, w, C) at points (b, P, 2), x and y from -1 to 1, bilinear: (b, P, C)."""
    sampled = F.grid_sample(
        maps.permute(0, 3, 1, 2), points[:, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[:, :, 0].transpose(1, 2)


def derangement(count: int, generator: torch.Generator) -> Tensor:
    """Return for each of `count` photographs the index of another one, int64 (count,).

    A random permutation in which a fixed point is replaced by its successor (as in the original), so that an index may
    occur twice. A single photograph is its own negative.
    """
    order = torch.randperm(count, generator=generator)
    fixed = order == torch.arange(count)
    return torch.where(fixed, (order + 1) % count, order)
