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


def test_only_codes_that_have_come_loose_are_told_of() -> None:
    assert best_step({50: 0.700, 100: 0.713, 150: 0.709, 250: 0.708}) is None
    assert best_step({50: 0.700, 100: 0.713, 250: 0.699, 750: 0.695}) == 100
    assert best_step({}) is None
