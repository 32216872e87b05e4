"""Directions of features that tell the place in the picture, and that the trained head does without them."""

from __future__ import annotations

import pytest
import torch

from stego_cli.model.backbones import backbone
from stego_cli.model.head import Head, without
from stego_cli.model.vit import build
from stego_cli.settings import DEFAULT_BACKBONE
from stego_cli.training.positions import position_directions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def vit(real_weights):
    return build(backbone(DEFAULT_BACKBONE), real_weights, 7)


def differences(vit, picture):
    features = vit(picture).flatten(0, 2)
    return features - features.mean(0)


def test_features_of_another_plain_picture_lose_what_differs_from_patch_to_patch(vit):
    directions = position_directions(vit, (8, 10), 8, CPU)
    assert directions.shape == (8, 384)
    torch.testing.assert_close(directions @ directions.T, torch.eye(8), atol=1e-5, rtol=0)
    plain = torch.tensor((90, 160, 30), dtype=torch.uint8).expand(1, 112, 140, 3)  # a colour that was not used
    before = differences(vit, plain)
    assert without(before, directions).square().sum() < 0.15 * before.square().sum()


def test_a_picture_of_one_patch_has_no_places(vit):
    assert position_directions(vit, (1, 1), 8, CPU).shape == (0, 384)


@pytest.mark.parametrize("nonlinear", [True, False])
def test_a_folded_head_gives_the_same_codes_without_the_step(nonlinear):
    torch.manual_seed(0)
    removed = torch.linalg.qr(torch.randn(16, 3)).Q.T
    head = Head(16, 5, nonlinear, removed)
    features = torch.randn(7, 16)
    folded = head.folded()
    assert folded.removed is None
    torch.testing.assert_close(folded(features), head(features), atol=1e-5, rtol=1e-5)
    moved = features + torch.randn(7, 3) @ removed  # another place in the picture
    torch.testing.assert_close(folded(moved), head(features), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(Head(16, 5, nonlinear)(moved), Head(16, 5, nonlinear)(features), atol=1e-2)
