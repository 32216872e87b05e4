import itertools

import numpy as np
import pytest

from stego_cli.inference.tiles import MOST_PATCHES, OVERLAP, TILE, in_tiles, starts

PATCH = 2


def infer_colours(images):
    """A model that sees each pixel alone: three classes, the nearer to a channel's colour the likelier."""
    scores = images.astype(np.float32).transpose(0, 3, 1, 2) / 40
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


@pytest.mark.parametrize("patches", [1, TILE, TILE + 1, 100, 183, 1000])
def test_tiles_cover_a_side_evenly_and_share_enough(patches):
    begins = starts(patches)
    assert begins[0] == 0
    assert max(begins) + TILE >= patches
    assert max(begins) == max(0, patches - TILE)
    assert all(after - before <= TILE - OVERLAP for before, after in itertools.pairwise(begins))


def test_a_model_that_sees_pixels_alone_gives_the_same_with_tiles_and_without():
    images = np.random.default_rng(0).integers(0, 256, (2, 100 * PATCH, 75 * PATCH, 3), np.uint8)
    assert MOST_PATCHES < 100 * 75
    shapes = []

    def infer(tile):
        shapes.append(tile.shape)
        return [infer_colours(tile), infer_colours(255 - tile)]

    joined, inverted = in_tiles(images, PATCH, infer)
    assert len(shapes) == 6
    assert all(height <= TILE * PATCH and width <= TILE * PATCH for _, height, width, _ in shapes)
    assert np.abs(joined - infer_colours(images)).max() < 1e-5
    assert np.abs(inverted - infer_colours(255 - images)).max() < 1e-5
    assert np.abs(np.exp(joined).sum(1) - 1).max() < 1e-5


def test_what_is_small_enough_is_given_whole():
    images = np.zeros((1, 60 * PATCH, 70 * PATCH, 3), np.uint8)
    seen = []
    in_tiles(images, PATCH, lambda tile: seen.append(tile.shape) or [infer_colours(tile)])
    assert seen == [images.shape]


def test_tiles_that_disagree_leave_no_seam():
    """Each tile is sure of a class of its own; what is joined changes nowhere by more than the fading allows."""
    images = np.zeros((1, 60 * PATCH, 200 * PATCH, 3), np.uint8)
    count = iter(range(100))

    def infer(tile):
        values = np.full((1, 2, *tile.shape[1:3]), -3.0, np.float32)
        values[:, next(count) % 2] = -0.05
        return [values]

    (joined,) = in_tiles(images, PATCH, infer)
    steps = np.abs(np.diff(joined, axis=3)).max(), np.abs(np.diff(joined, axis=2)).max()
    assert max(steps) < 3.5 / (OVERLAP * PATCH) * 2
    assert joined[0, 0].max() > -0.1
    assert joined[0, 1].max() > -0.1
