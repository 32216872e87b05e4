"""The linear probe: a linear map from finished codes to classes that labels name (paper, section 4).

It measures what the codes hold; nothing of it flows back into them. Since the codes no longer change, it is trained
after the head, on codes computed once, at labelled points only: a point without a class never enters, so no batch can
be empty and no loss undefined.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.progress import Progress
from stego_cli.training.features import FeatureCache, allocate
from stego_cli.training.labels import LabelledPoints

_BATCH = 4096  # points a step
_STEPS = 1500
_LR = 5e-3  # the original's
_CODES_AT_ONCE = 65_536


def codes_of(cache: FeatureCache, head: Head, memory_limit: int, scratch: Path, progress: Progress) -> FeatureCache:
    """Return the cache with every feature replaced by its code, float16; see `allocate` for the last three."""
    codes = allocate(len(cache.tokens), head.cluster1.out_features, memory_limit, scratch, progress)
    with torch.no_grad():
        for start in range(0, len(codes), _CODES_AT_ONCE):
            codes[start : start + _CODES_AT_ONCE] = head(cache.tokens[start : start + _CODES_AT_ONCE].float()).half()
    return replace(cache, tokens=codes)


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
    codes: FeatureCache, labelled: LabelledPoints, generator: torch.Generator
) -> tuple[Tensor, Tensor, float]:
    """Return weight (C, D) and bias (C,) of the probe, and the share of labelled points that it gets right.

    Adam on the cross-entropy of random labelled points, with cosine decay.
    """
    points = sample_as_upsampled(codes, labelled.photos, labelled.places)  # (M, D)
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
