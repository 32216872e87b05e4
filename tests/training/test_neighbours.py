import torch

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


def test_blocks_change_nothing() -> None:
    pooled = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    photos = torch.arange(50) // 2
    similarity = torch.nn.functional.normalize(pooled, dim=1) @ torch.nn.functional.normalize(pooled, dim=1).T
    expected = similarity.masked_fill(photos[:, None] == photos, -1).topk(5).indices
    assert torch.equal(nearest_neighbours(pooled, 5, photos), expected)
    # blocks that cut photographs in two, and runs that are not full
    assert torch.equal(nearest_neighbours(pooled, 5, photos, block=7, run=3), expected)


def test_crops_of_one_photograph_are_neighbours_only_where_there_is_no_other() -> None:
    pooled = torch.rand(10, 4, generator=torch.Generator().manual_seed(0))
    photos = torch.arange(10) // 5
    found = nearest_neighbours(pooled, 7, photos)
    assert found.shape == (10, 5)
    assert (photos[found] != photos[:, None]).all()
    alone = nearest_neighbours(pooled[:5], 7, photos[:5])
    assert all(sorted([*row, index]) == list(range(5)) for index, row in enumerate(alone.tolist()))
