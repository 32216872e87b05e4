"""The torch engine against pydensecrf, and the lattice against its own definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stego_cli.crf import pydensecrf_engine, torch_engine
from stego_cli.crf.lattice import bilateral_features, build_lattice
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

PHOTOS = ("anhinga", "canyon", "cat", "harbour", "heron", "lake", "osprey", "wren")
SETTINGS = CrfSettings()


@pytest.mark.parametrize("sharpness", [2, 20], ids=["soft", "sharp"])
@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.pydensecrf
def test_it_refines_as_pydensecrf_does(scene, photo, sharpness):
    image, log_probs = scene(photo, 96, 128, sharpness)
    refined = torch_engine.refine(image[None], log_probs[None], SETTINGS, 1)[0]
    expected = pydensecrf_engine.refine_one(image, log_probs, SETTINGS)
    assert refined.shape == log_probs.shape
    assert refined.dtype == np.float32
    assert (refined.argmax(0) == expected.argmax(0)).mean() >= 0.9995
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4
    assert (refined.argmax(0) != log_probs.argmax(0)).any()  # it did something


@pytest.mark.pydensecrf
def test_other_kernels_than_the_default_ones_agree_too(scene):
    settings = CrfSettings(3, gaussian_sxy=2.5, gaussian_compat=1.5, bilateral_sxy=20, bilateral_srgb=9)
    image, log_probs = scene("cat", 64, 48, 10)
    refined = torch_engine.refine(image[None], log_probs[None], settings)[0]
    expected = pydensecrf_engine.refine_one(image, log_probs, settings)
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4


# pydensecrf pads pixels to a multiple of four with black ones in the corner, which a black image has there anyway.
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 1), (40, 24)])
@pytest.mark.parametrize("classes", [1, 3, 256])
@pytest.mark.pydensecrf
def test_a_constant_image_of_any_shape_and_number_of_classes_is_refined_as_by_pydensecrf(height, width, classes):
    image = np.zeros((height, width, 3), np.uint8)
    scores = np.random.default_rng(1).normal(size=(classes, height, width)).astype(np.float32)
    log_probs = scores - np.log(np.exp(scores).sum(0))
    refined = torch_engine.refine(image[None], log_probs[None], SETTINGS)[0]
    expected = pydensecrf_engine.refine_one(image, log_probs, SETTINGS)
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4


def test_photographs_of_a_batch_do_not_influence_each_other(scene):
    scenes = [scene(photo, 32, 40, 2) for photo in ("lake", "wren")]
    images, log_probs = (np.stack(parts) for parts in zip(*scenes, strict=True))
    both = torch_engine.refine(images, log_probs, SETTINGS)
    alone = [torch_engine.refine(image[None], planes[None], SETTINGS)[0] for image, planes in scenes]
    assert np.array_equal(both, np.stack(alone))
    assert torch_engine.refine(images[:0], log_probs[:0], SETTINGS).shape == (0, 27, 32, 40)


def bilateral_lattice(scene, *photos):
    images = np.stack([scene(photo, 32, 40, 2)[0] for photo in photos])
    features = bilateral_features(torch.tensor(images), SETTINGS.bilateral_sxy, SETTINGS.bilateral_srgb)
    return build_lattice(features, len(photos))


def test_a_lattice_of_two_photographs_is_the_lattices_of_each_side_by_side(scene):
    both = bilateral_lattice(scene, "lake", "wren")
    first, second = (bilateral_lattice(scene, photo) for photo in ("lake", "wren"))
    assert both.count == first.count + second.count
    assert torch.equal(both.vertices, torch.cat([first.vertices, second.vertices + first.count], 1))
    assert torch.equal(both.weights, torch.cat([first.weights, second.weights], 1))


def test_the_weights_of_each_pixel_are_barycentric(scene):
    weights = bilateral_lattice(scene, "canyon").weights
    assert weights.shape == (6, 32 * 40)
    assert torch.allclose(weights.sum(0), torch.ones(32 * 40), atol=1e-5)
    assert weights.min() > -1e-5


def test_the_lists_of_pixels_name_every_corner_once_under_its_vertex(scene):
    lattice = bilateral_lattice(scene, "canyon")
    owners = torch.repeat_interleave(torch.arange(lattice.count), torch.diff(lattice.first_entry).long())
    assert torch.equal(lattice.vertices.flatten()[lattice.entries].long(), owners)
    assert torch.equal(lattice.entries.sort().values.long(), torch.arange(6 * 32 * 40))
    assert torch.equal(lattice.vertices.unique().long(), torch.arange(lattice.count))


def test_previous_is_where_next_comes_from(scene):
    lattice = bilateral_lattice(scene, "canyon")
    linked = 0
    for following, previous in lattice.neighbours[:, :, : lattice.count].long():
        here = (following < lattice.count).nonzero().squeeze(1)
        assert torch.equal(previous[following[here]], here)
        assert (previous < lattice.count).sum() == len(here)
        linked += len(here)
    assert linked > lattice.count  # most vertices have neighbours


def test_a_kernel_too_narrow_for_the_codes_is_refused_with_a_remedy(scene):
    image, log_probs = scene("lake", 32, 40, 2)
    with pytest.raises(UsageError, match="deviations are too small"):
        torch_engine.refine(image[None], log_probs[None], CrfSettings(bilateral_srgb=1e-3, bilateral_sxy=1e-2))
