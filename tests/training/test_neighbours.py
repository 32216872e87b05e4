import torch

from stego_cli.training import neighbours
from stego_cli.training.neighbours import nearest_neighbours


def test_neighbours_are_the_most_similar_others_nearest_first() -> None:
    angles = torch.tensor([0.0, 0.1, 0.3, 1.5])
    pooled = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5.0], [2.0], [3.0]])
    assert nearest_neighbours(pooled, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_exact_copies_are_neighbours_and_never_themselves() -> None:
    found = nearest_neighbours(torch.ones(4, 3), 3)
    assert all(sorted(row) == [j for j in range(4) if j != i] for i, row in enumerate(found.tolist()))


def test_few_photographs_have_few_neighbours() -> None:
    assert nearest_neighbours(torch.rand(3, 4), 7).shape == (3, 2)
    assert nearest_neighbours(torch.rand(1, 4), 7).tolist() == [[0]]


def test_blocks_change_nothing(monkeypatch) -> None:
    pooled = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    whole = nearest_neighbours(pooled, 5)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    assert torch.equal(nearest_neighbours(pooled, 5), whole)
