"""Codes of a finished head: of a whole view, and of patches drawn at random, as the exported model has them too."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.model.smoothing import smoothed
from stego_cli.training.features import Features, drawn_patches

_VIEWS = 1000  # that patches are drawn from, where their whole views are needed


class Patches(NamedTuple):
    """Some patches, on the CPU, float32.

    Attributes:
        features: (n, C), the backbone's.
        codes: (n, D), of the patches alone.
        smoothed: (n, D), the same codes smoothed.
    """

    features: Tensor
    codes: Tensor
    smoothed: Tensor


def grid_codes(head: Head, grid: Tensor, smoothing: float) -> Tensor:
    """Return the codes (h, w, D), float32 on the CPU, of a view's features (h, w, C).

    Args:
        head: features to codes.
        grid: the features, on any device.
        smoothing: sharpness of `smoothed`; 0: none.
    """
    with torch.no_grad():
        codes: Tensor = head(grid.to(next(head.parameters()).device)).float()
        return smoothed(codes[None], smoothing)[0].cpu()


def random_patches(head: Head, features: Features, smoothing: float, count: int, generator: torch.Generator) -> Patches:
    """Return at most `count` patches drawn at random.

    Args:
        head: features to codes.
        features: of all views; with smoothing, whole views are looked at, at most 1000 of them.
        smoothing: sharpness of `smoothed`; 0: none, both codes are the same.
        count: of patches.
        generator: source of all randomness.
    """
    if not smoothing:
        drawn_features = features.random_tokens(count, generator)
        codes = grid_codes(head, drawn_features[None], 0)[0]
        return Patches(drawn_features, codes, codes)
    views = torch.arange(len(features))
    if len(views) > _VIEWS:
        views = torch.randperm(len(features), generator=generator)[:_VIEWS].sort().values
    of_view, patch = drawn_patches(features.grids[views], count, generator)
    width = head.cluster1.out_features
    patches = Patches(*(torch.zeros(len(patch), size) for size in (features.width, width, width)))
    for place, view in enumerate(views.tolist()):
        drawn = of_view == place
        if drawn.any():
            grid = features.grid(view)
            codes = grid_codes(head, grid, 0)
            maps = (grid, codes, smoothed(codes[None], smoothing)[0])
            for part, whole in zip(patches, maps, strict=True):
                part[drawn] = whole.flatten(0, 1)[patch[drawn]].to(part)
    return patches
