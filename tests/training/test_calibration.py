import torch

from stego_cli.training.calibration import calibrated_b, whitening


def test_whitened_components_are_uncorrelated_with_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(5000, 12, generator=generator) @ torch.randn(12, 12, generator=generator) + 3.0
    white = whitening(mixed, 5)(mixed)
    assert white.shape == (5000, 5)
    assert torch.allclose(torch.cov(white.T), torch.eye(5), atol=1e-3)


def test_whitening_drops_components_without_variance() -> None:
    flat = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)) @ torch.ones(2, 6)
    assert whitening(flat, 5)(flat).shape == (100, 1)


def test_equal_features_stay_finite() -> None:
    equal = torch.full((50, 6), 2.0)
    assert torch.isfinite(whitening(equal, 4)(equal)).all()


def test_b_leaves_the_asked_share_of_pairs_below() -> None:
    features = torch.randn(8, 121, 121, generator=torch.Generator().manual_seed(1))
    b = calibrated_b(features, 0.95, torch.Generator().manual_seed(0))
    assert abs(float((features < b).float().mean()) - 0.95) < 0.01
