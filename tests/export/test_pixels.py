"""The exported form of the probes against the plain one: upsample the code, then ask each pixel."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from export.pixels import bilinear, squared_length
from tests.support.graphs import computed


@pytest.mark.parametrize(("cells", "patch"), [(1, 14), (2, 1), (3, 7), (5, 8), (9, 16), (150, 14)])
def test_the_weights_are_those_of_torchs_bilinear_interpolation(cells: int, patch: int) -> None:
    wanted = F.interpolate(torch.eye(cells)[None], size=cells * patch, mode="linear", align_corners=False)[0].T
    found = computed(lambda build, count: bilinear(build, count, patch), np.array([cells]))
    assert np.allclose(found, wanted.numpy(), atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 6, 5, 9), (1, 1, 7, 4), (3, 4, 1, 4), (1, 1, 1, 2)])
@pytest.mark.parametrize("patch", [7, 14])
def test_lengths_of_pixels_follow_from_products_of_neighbouring_cells(shape: tuple[int, ...], patch: int) -> None:
    code = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    size = (shape[1] * patch, shape[2] * patch)
    pixels = F.interpolate(code.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False)

    def length(build, code, rows, columns):
        return squared_length(build, code, bilinear(build, rows, patch), bilinear(build, columns, patch))

    found = computed(length, code.numpy(), *(np.array([count]) for count in shape[1:3]))
    assert np.allclose(found, pixels.square().sum(1).numpy(), rtol=1e-4, atol=1e-5)


def test_codes_that_cancel_or_vanish_leave_a_positive_length() -> None:
    code = np.broadcast_to(np.array([1.0, -1.0, 0.0], np.float32).reshape(1, 1, 3, 1), (1, 1, 3, 8))
    # A cell, between opposites, nothing.
    across = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], np.float32)
    whole, cancelled, none = computed(squared_length, code, np.ones((1, 1), np.float32), across).flatten().tolist()
    assert whole == pytest.approx(8)
    assert 0 < none < cancelled < 1e-4
