"""Codes averaged with those around them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from stego_cli.model.smoothing import smoothed


def test_it_is_the_mean_that_its_text_says():
    torch.manual_seed(0)
    codes = torch.randn(2, 4, 5, 3)
    found = smoothed(codes, 2.5)
    for photo, row, column in [(0, 0, 0), (1, 3, 4), (0, 2, 2), (1, 0, 3)]:
        own, total, weights = codes[photo, row, column], torch.zeros(3), 0.0
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                near = codes[photo, min(max(row + down, 0), 3), min(max(column + across, 0), 4)]
                weight = math.exp(2.5 * (float(F.cosine_similarity(own, near, dim=0)) - 1))
                total, weights = total + weight * near, weights + weight
        torch.testing.assert_close(found[photo, row, column], total / weights)


def test_noise_becomes_less_and_the_border_between_two_things_stays():
    torch.manual_seed(0)
    things = F.one_hot(torch.arange(10) // 5, 8).float().expand(1, 10, 10, 8)  # left and right
    noisy = things + 0.2 * torch.randn_like(things)
    found = smoothed(noisy, 4.0)
    assert (found - things).square().mean() < 0.5 * (noisy - things).square().mean()
    beside = found[0, :, 4:6].mean(0)  # the columns at the border
    assert beside[0, 0] > 0.9
    assert beside[1, 1] > 0.9


def test_nothing_changes_without_sharpness_nor_where_all_is_alike():
    codes = torch.randn(1, 3, 4, 6)
    assert smoothed(codes, 0.0) is codes
    for height, width in [(1, 1), (1, 5), (3, 4)]:
        alike = codes[:, :1, :1].expand(1, height, width, 6)
        torch.testing.assert_close(smoothed(alike, 4.0), alike)
    assert smoothed(torch.zeros(1, 2, 2, 3), 4.0).isfinite().all()
