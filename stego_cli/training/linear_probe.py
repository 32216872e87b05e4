"""The linear probe: a linear map from finished codes to classes that labels name (paper, section 4).

It measures what the codes hold; nothing of it flows back into them. Since the codes no longer change, it is trained
after the head, on codes computed once, at labelled points only: a point without a class never enters, so no batch can
be empty and no loss undefined.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.training.features import FeatureCache, Features
from stego_cli.training.probe_labels import LabelledPoints

_BATCH = 4096  # points a step
_STEPS = 1500
_LR = 5e-3  # the original's


def codes_at(features: Features, head: Head, labelled: LabelledPoints) -> Tensor:
    """Return the code of each labelled point, float32 (M, D), a few views at a time."""
    points = torch.zeros(len(labelled.photos), head.cluster1.out_features)
    order = labelled.photos.argsort(stable=True)
    ordered = labelled.photos[order]
    for indices, group in features.groups():
        first, last = torch.searchsorted(ordered, torch.stack([indices[0], indices[-1] + 1])).tolist()
        wanted = order[first:last]
        if len(wanted):
            codes = replace(group, tokens=_codes(group, head), starts=_starts(group.grids))
            row = torch.searchsorted(indices, labelled.photos[wanted])
            points[wanted] = sample_as_upsampled(codes, row, labelled.places[wanted])
    return points


def _starts(grids: Tensor) -> Tensor:
    sizes = grids.prod(1)
    return sizes.cumsum(0) - sizes


def _codes(group: FeatureCache, head: Head) -> Tensor:
    """Return the codes of a few views, one after another, float16 (T', D)."""
    sizes = group.grids.prod(1)
    with torch.no_grad():
        return torch.cat(
            [
                head(group.tokens[start : start + size].float()).half()
                for start, size in zip(group.starts.tolist(), sizes.tolist(), strict=True)
            ]
        )


def sample_as_upsampled(cache: FeatureCache, photos: Tensor, places: Tensor) -> Tensor:
    """Return what bilinear upsampling (align_corners=False) gives at places.

    Args:
        cache: of codes.
        photos: int64 (M,).
        places: (M, 2), x and y as shares of width and height, 0 to 1.

    Returns:
        float32 (M, D).
    """
    size = cache.grids[photos].flip(1)  # (M, 2): columns, rows
    at = (places * size - 0.5).clamp(min=0)  # in patches; 0 is the centre of the first
    at = torch.minimum(at, size - 1.0)
    points = at / (size - 1).clamp(min=1) * 2 - 1
    return cache.sample(photos, points[:, None])[:, 0]


def fit_linear_probe(
    points: Tensor, labelled: LabelledPoints, generator: torch.Generator
) -> tuple[Tensor, Tensor, float]:
    """Return weight (C, D) and bias (C,) of the probe, and the share of labelled points that it gets right.

    Adam on the cross-entropy of random labelled points, whose codes are `points` (M, D), with cosine decay.
    """
    width = points.shape[1]
    weight = torch.empty(labelled.count, width).uniform_(-1, 1, generator=generator) / width**0.5
    bias = torch.zeros(labelled.count)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.Adam(parameters, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in range(_STEPS):
        chosen = torch.randint(len(points), (_BATCH,), generator=generator)
        loss = F.cross_entropy(F.linear(points[chosen], weight, bias), labelled.classes[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        right = (F.linear(points, weight, bias).argmax(1) == labelled.classes).float().mean()
    return weight.detach(), bias.detach(), float(right)
