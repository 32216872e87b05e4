"""Codes of a finished head, as the exported model has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stego_cli.model.head import Head
from stego_cli.model.smoothing import smoothed
from stego_cli.training import finished_codes
from stego_cli.training.features import FeatureCache
from stego_cli.training.finished_codes import grid_codes, random_patches

GRIDS = [(3, 4), (5, 2), (1, 6), (4, 4)]


@pytest.fixture
def features() -> FeatureCache:
    torch.manual_seed(0)
    sizes = torch.tensor([h * w for h, w in GRIDS])
    return FeatureCache(
        tokens=torch.randn(int(sizes.sum()), 6).half(),
        starts=sizes.cumsum(0) - sizes,
        grids=torch.tensor(GRIDS),
        pooled=torch.zeros(len(GRIDS), 6),
        paths=[Path(name) for name in "abcd"],
        failed=[],
    )


@pytest.fixture
def head() -> Head:
    torch.manual_seed(1)
    return Head(6, 5).eval()


@pytest.mark.parametrize("smoothing", [0.0, 4.0])
def test_all_patches_have_the_codes_of_their_whole_views(features, head, smoothing):
    tokens, alone, mean = random_patches(head, features, smoothing, 1000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(tokens, features.tokens.float())
    whole = [head(features.grid(view)).detach() for view in range(len(GRIDS))]
    torch.testing.assert_close(alone, torch.cat([codes.flatten(0, 1) for codes in whole]))
    wanted = torch.cat([smoothed(codes[None], smoothing)[0].flatten(0, 1) for codes in whole])
    torch.testing.assert_close(mean, wanted)
    torch.testing.assert_close(grid_codes(head, features.grid(0), smoothing).flatten(0, 1), wanted[:12])


def test_the_same_patches_are_drawn_with_and_without_smoothing(features, head):
    tokens, with_it, _ = random_patches(head, features, 4.0, 30, torch.Generator().manual_seed(0))
    same_tokens, without, same = random_patches(head, features, 0.0, 30, torch.Generator().manual_seed(0))
    assert with_it.shape == (30, 5)
    torch.testing.assert_close(with_it, without)
    torch.testing.assert_close(tokens, same_tokens)
    assert same is without


def test_of_many_views_some_are_looked_at(features, head, monkeypatch):
    _, every, _ = random_patches(head, features, 4.0, 1000, torch.Generator())
    monkeypatch.setattr(finished_codes, "_VIEWS", 2)
    tokens, alone, mean = random_patches(head, features, 4.0, 12, torch.Generator().manual_seed(0))
    places = torch.cdist(alone, every).argmin(1)
    torch.testing.assert_close(alone, every[places])
    torch.testing.assert_close(tokens, features.tokens[places].float())
    assert len((torch.searchsorted(features.starts, places, right=True) - 1).unique()) == 2
    assert (mean.norm(dim=1) > 0).all()
