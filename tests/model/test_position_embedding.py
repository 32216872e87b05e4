import pytest
import torch
import torch.nn.functional as F

from stego_cli.model.position_embedding import resample

GRID = torch.randn(14, 14, 6, generator=torch.Generator().manual_seed(0))


def with_torch(expected: tuple[int, int], **options: object) -> torch.Tensor:
    resized = F.interpolate(GRID.permute(2, 0, 1)[None], mode="bicubic", align_corners=False, **options)
    assert resized.shape[2:] == expected
    return resized[0].permute(1, 2, 0)


@pytest.mark.parametrize("size", [(14, 14), (20, 20), (23, 31), (5, 9), (1, 40)])
def test_plain_bicubic_is_that_of_torch(size: tuple[int, int]) -> None:
    assert torch.allclose(resample(GRID, *size, "bicubic"), with_torch(size, size=size), atol=1e-5)


@pytest.mark.parametrize("size", [(14, 14), (20, 20), (23, 31), (5, 9)])
def test_antialiased_bicubic_is_that_of_torch(size: tuple[int, int]) -> None:
    assert torch.allclose(resample(GRID, *size, "antialias"), with_torch(size, size=size, antialias=True), atol=1e-5)


@pytest.mark.parametrize("size", [(20, 20), (23, 31), (5, 9), (14, 20)])
def test_the_published_0_1_is_that_of_a_scale_factor(size: tuple[int, int]) -> None:
    scale = tuple((n + 0.1) / 14 for n in size)
    wanted = with_torch(size, scale_factor=scale, recompute_scale_factor=False)
    assert torch.allclose(resample(GRID, *size, "bicubic+0.1"), wanted, atol=1e-5)


@pytest.mark.parametrize("style", ["bicubic", "bicubic+0.1", "antialias"])
def test_the_tables_own_size_is_left_as_it_is(style: str) -> None:
    assert torch.allclose(resample(GRID, 14, 14, style), GRID, atol=1e-6)
