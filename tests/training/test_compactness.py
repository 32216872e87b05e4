import pytest
import torch

from stego_cli.model.head import Head
from stego_cli.training.compactness import best_step, compactness


def test_codes_in_clusters_are_more_compact_than_codes_everywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    head = Head(16, 16, nonlinear=False)
    with torch.no_grad():
        head.cluster1.weight.copy_(torch.eye(16))
        head.cluster1.bias.zero_()
    spread = torch.randn(600, 16, generator=generator)
    gathered = torch.eye(16)[torch.arange(600) % 6] + 0.05 * spread
    assert compactness(head, gathered, 6) > 0.95
    assert compactness(head, spread, 6) < 0.7
    assert compactness(head, spread, None) == compactness(head, spread, 10)


# Measured on CamVid; what the models were worth is in docs/log/training.md.
DEFAULT = {50: 0.7041, 100: 0.6941, 150: 0.6910, 200: 0.6931, 250: 0.6914}
DEFAULT_ON_FEW = {50: 0.684, 250: 0.662}  # 53 photographs
TOO_LONG = {50: 0.7044, 250: 0.7010, 450: 0.7032, 500: 0.6961, 750: 0.6844, 1000: 0.6802, 1500: 0.6700, 2000: 0.6702}
TOO_LONG_ON_FEW = {50: 0.6991, 250: 0.6829, 300: 0.6891, 500: 0.6784, 1000: 0.6716}  # 14 photographs


@pytest.mark.parametrize("seen", [DEFAULT, DEFAULT_ON_FEW, {}])
def test_codes_that_come_looser_while_they_are_learnt_are_no_alarm(seen: dict[int, float]) -> None:
    assert best_step(seen) is None


@pytest.mark.parametrize(("seen", "best"), [(TOO_LONG, 450), (TOO_LONG_ON_FEW, 300)])
def test_codes_that_have_come_loose_since_are_told_of(seen: dict[int, float], best: int) -> None:
    assert best_step(seen) == best
    assert best_step({step: value for step, value in seen.items() if step <= 500}) is None  # no more than chance yet
