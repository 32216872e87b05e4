from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.datasets.crops import five
from stego_cli.images.decode import decode
from stego_cli.training.views import Cut, View, pixels_of, views_of


def gradient(file: Path, width: int = 80, height: int = 60) -> Path:
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    Image.fromarray(np.stack([x, y, x + y], axis=-1).astype(np.uint8)).save(file)
    return file


def shown(views: list[View] | str, cut: Cut) -> list[np.ndarray]:
    assert isinstance(views, list)
    pixels = pixels_of(views, cut)
    assert isinstance(pixels, list)
    return pixels


def test_five_crops_are_the_corners_and_the_centre() -> None:
    assert five(80, 60, 0.5) == [(0, 0, 40, 30), (40, 0, 80, 30), (0, 30, 40, 60), (40, 30, 80, 60), (20, 15, 60, 45)]
    assert five(1, 1, 0.5) == [(0, 0, 1, 1)] * 5


def test_crops_show_their_part_of_the_photograph_in_whole_patches(tmp_path: Path) -> None:
    cut = Cut(res=28, patch=14, crops="five")
    views = views_of(7, gradient(tmp_path / "a.png"), cut)
    pixels = shown(views, cut)
    assert {each.shape for each in pixels} == {(28, 42, 3)}
    assert [view.photo for view in views] == [7] * 5
    left, top = (pixels[0][..., channel].astype(int).max() for channel in (0, 1))
    assert left < 42
    assert top < 32
    assert pixels[3][..., 0].min() >= 38
    assert cut.shares((40, 30, 80, 60), (80, 60)) == (0.5, 0.5, 1, 1)


def test_squares_are_cut_from_the_middle_by_the_nearest_pixel(tmp_path: Path) -> None:
    cut = Cut(res=60, patch=15, square=True)
    [pixels] = shown(views_of(0, gradient(tmp_path / "a.png"), cut), cut)
    assert cut.grid((0, 0, 80, 60)) == (4, 4)
    assert pixels[:, :, 0].tolist() == [list(range(10, 70))] * 60  # its own pixels, none between
    assert cut.shares((0, 0, 80, 60), (80, 60)) == (0.125, 0, 0.875, 1)


def test_a_whole_photograph_is_decoded_as_for_segmenting(tmp_path: Path) -> None:
    file, cut = gradient(tmp_path / "a.png"), Cut(res=28, patch=14)
    [pixels] = shown(views_of(0, file, cut), cut)
    assert np.array_equal(pixels, decode(file, 28, 14).pixels)


def test_a_photograph_that_changed_or_went_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    file, cut = gradient(tmp_path / "a.png"), Cut(res=28, patch=14, crops="five")
    views = views_of(0, file, cut)
    gradient(file, 50, 60)
    assert pixels_of(views, cut) == "it changed while it was read"
    file.unlink()
    assert isinstance(pixels_of(views, cut), str)
    assert isinstance(views_of(0, file, cut), str)
