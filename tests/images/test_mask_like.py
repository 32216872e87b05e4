"""Which pictures beside photographs look like their masks."""

import io

import numpy as np
import pytest
from PIL import Image

from stego_cli.images.mask_like import mask_like
from tests.support.archives import jpeg, png

GREY = np.zeros((4, 6), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a_mask.png", "a-mask.png", "a.mask.png", "a_mask_0.png", "a_mask12.png", "A_GT.PNG"])
def test_words_and_numbers_behind_the_name_of_a_photograph(tmp_path, name):
    assert mask_like(["a.jpg", name], tmp_path) == ([name], ["a.jpg"])


@pytest.mark.parametrize(
    "name", ["b_mask.png", "mask.png", "a_12.png", "mask_0.png", "x/a_mask.png", "a_mask_2026.png"]
)
def test_other_names_are_those_of_photographs(tmp_path, name):
    masks, others = mask_like(["a.jpg", name], tmp_path)
    assert (masks, set(others)) == ([], {"a.jpg", name})


def test_of_pictures_that_differ_by_suffix_a_png_of_numbers_is_the_mask(tmp_path):
    palette = Image.fromarray(GREY)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    stream = io.BytesIO()
    palette.save(stream, "PNG")
    contents = {
        "a": png(GREY),
        "b": stream.getvalue(),
        "c": png(np.zeros((4, 6, 3), np.uint8)),
        "d": b"",
        "e": jpeg((6, 4), 1),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    paths = [f"{name}{suffix}" for name in contents for suffix in (".jpg", ".png")]
    masks, others = mask_like([*paths, "f.png"], tmp_path)  # a PNG alone is a photograph, and so is one in colour
    assert masks == ["a.png", "b.png"]
    assert set(others) == {*paths, "f.png"} - set(masks)
