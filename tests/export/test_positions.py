"""Resampled position embeddings in an exported graph, against torch's."""

import numpy as np
import pytest
import torch

from export.positions import resampled
from stego_cli.model.position_embedding import resample
from tests.support.graphs import computed


@pytest.mark.parametrize("style", ["bicubic", "bicubic+0.1", "antialias"])
@pytest.mark.parametrize("size", [(7, 7), (7, 5), (1, 20), (23, 31), (3, 2)])
def test_they_are_those_that_torch_gives(style: str, size: tuple[int, int]) -> None:
    grid = torch.randn(7, 7, 4, generator=torch.Generator().manual_seed(0))
    found = computed(
        lambda build, rows, columns: resampled(build, grid, rows, columns, style), *(np.array([n]) for n in size)
    )
    assert np.allclose(found, resample(grid, *size, style).flatten(0, 1).numpy(), atol=1e-5)
