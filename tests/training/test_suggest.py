import pytest
import torch

from stego_cli.training.suggest import agreement, suggest_classes


def blobs(classes: int, spread: float = 0.1, each: int = 150) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(classes, 16, generator=generator), dim=1)
    return (centres[:, None] + spread * torch.randn(classes, each, 16, generator=generator)).flatten(0, 1)


@pytest.mark.slow
def test_as_many_classes_are_suggested_as_there_are() -> None:
    for there in (5, 8):
        found, curve = suggest_classes(blobs(there), 3, 12, torch.Generator().manual_seed(0))
        assert found == there
        assert [each["classes"] for each in curve] == list(range(3, 13))
        assert curve[there - 3]["stability"] > 0.9
        assert curve[-1]["cosine"] > curve[0]["cosine"]


def test_the_same_generator_state_gives_the_same_curve() -> None:
    first, second = (suggest_classes(blobs(5), 4, 7, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == second


def test_few_and_equal_points_have_an_answer() -> None:
    for points in (torch.ones(1, 4), torch.ones(50, 4), torch.rand(3, 4)):
        found, curve = suggest_classes(points, 4, 20, torch.Generator().manual_seed(0))
        assert found in [each["classes"] for each in curve]
        assert all(0 <= each["stability"] <= 1 for each in curve)


def test_of_equally_stable_numbers_the_one_nearest_to_8_is_suggested() -> None:
    for least, most, nearest in ((4, 20, 8), (4, 7, 7), (10, 14, 10)):
        found, curve = suggest_classes(torch.ones(50, 4), least, most, torch.Generator().manual_seed(0))
        assert len({each["stability"] for each in curve}) == 1
        assert found == nearest


def test_agreement_does_not_depend_on_the_names_of_classes() -> None:
    first, second = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([2, 2, 0, 0, 1, 0])
    assert agreement(first, second, 3) == 5 / 6
