from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stego_cli.training.correspondence import centre, correspondence, correspondence_loss

GOLDEN = Path(__file__).parents[1] / "golden"


def points(array: NDArray[np.float32]) -> torch.Tensor:
    """(N, C, H, W) of the original's layout to (N, H * W, C)."""
    return torch.from_numpy(array).flatten(2).transpose(1, 2)


@pytest.mark.parametrize("case", range(3))
def test_loss_and_code_correspondence_are_those_of_the_original(case: int) -> None:
    golden = np.load(GOLDEN / f"correspondence_loss_{case}.npz")
    features = correspondence(points(golden["f1"]), points(golden["f2"]))
    if golden["pointwise"]:
        features = centre(features)
    codes = correspondence(points(golden["c1"]), points(golden["c2"]))
    loss = correspondence_loss(features, codes, float(golden["b"]), clamp=bool(golden["zero_clamp"]))
    assert np.abs(loss.numpy() - golden["loss"].reshape(loss.shape)).max() < 1e-6
    assert np.abs(codes.numpy() - golden["cd"].reshape(codes.shape)).max() < 1e-6


def test_centring_keeps_the_mean_and_levels_the_points() -> None:
    features = torch.rand(3, 7, 9, generator=torch.Generator().manual_seed(0))
    centred = centre(features)
    assert torch.allclose(centred.mean(), features.mean(), atol=1e-6)
    assert torch.allclose(centred.mean(2), features.mean().expand(3, 7), atol=1e-6)


def test_a_zero_vector_corresponds_to_nothing() -> None:
    zero, other = torch.zeros(1, 1, 4), torch.ones(1, 1, 4)
    assert correspondence(zero, other).item() == 0.0
