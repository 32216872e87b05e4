"""Codes of a finished head: of a whole view, and of patches drawn at random, as the exported model has them too."""

from __future__ import annotations

import torch
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.model.smoothing import smoothed
from stego_cli.training.features import Features, drawn_patches

_VIEWS = 1000  # that patches are drawn from, where their whole views are needed


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


def random_codes(
    head: Head, features: Features, smoothing: float, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return codes of at most `count` patches drawn at random: those of the patches alone, and smoothed ones.

    Args:
        head: features to codes.
        features: of all views; with smoothing, whole views are looked at, at most 1000 of them.
        smoothing: sharpness of `smoothed`; 0: none, both are the same.
        count: of patches.
        generator: source of all randomness.

    Returns:
        Both (n, D), float32.
    """
    if not smoothing:
        codes = grid_codes(head, features.random_tokens(count, generator)[None], 0)[0]
        return codes, codes
    views = torch.arange(len(features))
    if len(views) > _VIEWS:
        views = torch.randperm(len(features), generator=generator)[:_VIEWS].sort().values
    of_view, patch = drawn_patches(features.grids[views], count, generator)
    alone, mean = torch.zeros(2, len(patch), head.cluster1.out_features)
    for place, view in enumerate(views.tolist()):
        drawn = of_view == place
        if drawn.any():
            codes = grid_codes(head, features.grid(view), 0)
            alone[drawn] = codes.flatten(0, 1)[patch[drawn]]
            mean[drawn] = smoothed(codes[None], smoothing)[0].flatten(0, 1)[patch[drawn]]
    return alone, mean
