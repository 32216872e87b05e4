"""How a photograph and its label are prepared for the paper's protocol."""

from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.scoring.protocol import crop_side, load_input

COLOURS = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)], dtype=np.uint8)


def test_photograph_and_label_are_cut_alike_by_the_nearest_pixel(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 4, (16, 10)).repeat(40, axis=0).repeat(40, axis=1)
    Image.fromarray(COLOURS[blocks]).save(tmp_path / "photo.png")
    Image.fromarray(blocks.astype(np.uint8)).save(tmp_path / "label.png")
    given = load_input(tmp_path / "photo.png", tmp_path / "label.png", "stego", 0, 16)
    assert (given.pixels.shape, given.labels.shape) == ((320, 320, 3), (320, 320))
    assert np.array_equal((given.pixels[:, :, None] == COLOURS).all(3).argmax(2), given.labels)


def test_the_crop_is_the_nearest_multiple_of_the_patch() -> None:
    assert (crop_side(8), crop_side(14), crop_side(16)) == (320, 322, 320)
