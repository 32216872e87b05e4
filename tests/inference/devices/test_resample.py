import numpy as np
import pytest
import torch
from PIL import Image

from stego_cli.inference.devices.resample import resized

SIZES = [(640, 480), (434, 322), (61, 47), (90, 7), (1, 1), (40, 40)]  # width and height


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("new", SIZES)
def test_pictures_are_resized_as_pillow_does_up_to_a_step(size, new):
    pictures = np.random.default_rng(0).integers(0, 256, (3, size[1], size[0], 3), np.uint8)
    pictures[1] //= 64  # dark
    pictures[2] = 255
    expected = [np.asarray(Image.fromarray(one).resize(new, Image.Resampling.BILINEAR)) for one in pictures]
    results = resized(torch.from_numpy(pictures), new).numpy()
    assert results.dtype == np.uint8
    difference = np.abs(results.astype(int) - np.stack(expected))
    assert difference.max() <= 1
    assert (difference == 0).mean() >= (0.99 if new[1] >= size[1] or new[0] <= size[0] else 0.5)


def test_pictures_one_at_a_time_give_the_same_bytes():
    pictures = torch.randint(0, 256, (5, 30, 40, 3), dtype=torch.uint8)
    assert torch.equal(resized(pictures, (21, 14), held=1), resized(pictures, (21, 14)))
    assert resized(pictures[:0], (21, 14)).shape == (0, 14, 21, 3)
