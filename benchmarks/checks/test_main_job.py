"""The README's main job with all of its defaults on all of tests/photos: 250 steps, the number of classes found."""

import pytest

from tests.support.command import stego_in
from tests.support.found_classes import assert_classes_recur, assert_sky_is_one_class


@pytest.fixture(scope="module")
def masks(photos_folder, tmp_path_factory, real_weights):
    folder = tmp_path_factory.mktemp("main")
    ended = stego_in(folder, "segment", photos_folder, "--out", "masks")
    assert ended.returncode == 0, ended.stderr
    return folder / "masks"


def test_the_set_shows_classes_that_recur_between_photographs(masks):
    assert_classes_recur(masks)


def test_sky_is_one_class_and_not_that_of_the_ground(masks):
    assert_sky_is_one_class(masks)
