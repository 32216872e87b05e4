"""`stego segment` on TIFFs of several pages: a slice each, and one stack of masks."""

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image, ImageSequence

from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading
from stego_cli.sources.source import Asked
from stego_cli.sources.stacks import StackSource
from tests.sources.conftest import COLOURS

SHAPE = (56, 84)  # whole patches of the tiny model


def slices(count):
    return [
        np.roll(np.repeat(np.arange(3, dtype=np.uint8), 28)[None].repeat(56, 0), 7 * index, 1) for index in range(count)
    ]


def read_stack(file):
    with Image.open(file) as image:
        return [np.asarray(page).copy() for page in ImageSequence.Iterator(image)], image.getpalette()[:3]


def test_every_page_is_a_slice_of_the_mask(segment, tmp_path):
    labels = slices(5)
    first, *rest = [Image.fromarray(COLOURS[each]) for each in labels]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=rest)
    result = segment(tmp_path / "stack.tif", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert "a stack of 5 slices" in result.stderr
    found, _ = read_stack(tmp_path / "masks/stack.tif")
    assert len(found) == 5
    assert all(np.array_equal(one, each) for one, each in zip(found, labels, strict=True))
    before = (tmp_path / "masks/stack.tif").read_bytes()
    (tmp_path / "masks/stack.tif").unlink()
    assert segment(tmp_path / "stack.tif", tmp_path / "masks").returncode == 0
    assert (tmp_path / "masks/stack.tif").read_bytes() == before


def test_slices_of_16_bits_have_one_stretch(segment, tmp_path):
    dim, bright = np.full(SHAPE, 800, np.uint16), np.full(SHAPE, 4000, np.uint16)
    Image.fromarray(dim).save(tmp_path / "deep.tif", save_all=True, append_images=[Image.fromarray(bright)])
    result = segment(tmp_path / "deep.tif", tmp_path / "masks")
    assert result.returncode == 0, result.stderr
    assert "Pictures of 16 bits: 0 is shown as black, 4095 as white" in result.stderr
    reading = Reading(ranges=(("uint16", 0.0, 4095.0),))
    with StackSource(Asked(tmp_path / "deep.tif", "deep.tif", 56, 14, reading, PartSettings())) as source:
        assert [int(source.decode(key).pixels.mean().round()) for key in source.keys()] == [50, 249]  # noqa: SIM118


def test_one_band_is_shown_in_a_colour_map_on_request(segment, tmp_path):
    grey = Image.fromarray(np.full(SHAPE, 200, np.uint8))
    grey.save(tmp_path / "grey.tif", save_all=True, append_images=[grey])
    asked = Asked(tmp_path / "grey.tif", "grey.tif", 56, 14, Reading(), PartSettings(colour_map="viridis"))
    with StackSource(asked) as source:
        assert source.decode("slice=1").pixels[0, 0].tolist() == list(colormaps["viridis"](200, bytes=True)[:3])
    assert segment(tmp_path / "grey.tif", tmp_path / "masks", "--colour-map", "rainbows").returncode == 2


def test_a_broken_slice_stays_without_a_label(segment, tmp_path):
    labels = slices(3)
    first, *rest = [Image.fromarray(COLOURS[each]) for each in labels]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=rest, compression="tiff_adobe_deflate")
    with Image.open(tmp_path / "stack.tif") as image:
        image.seek(1)
        at = image.tag_v2[273][0]
    content = bytearray((tmp_path / "stack.tif").read_bytes())
    content[at : at + 20] = bytes(20)
    (tmp_path / "stack.tif").write_bytes(content)
    result = segment(tmp_path / "stack.tif", tmp_path / "masks")
    assert result.returncode == 3
    assert "failed: stack.tif#slice=1:" in result.stderr
    found, _ = read_stack(tmp_path / "masks/stack.tif")
    assert [bool((one == 255).all()) for one in found] == [False, True, False]


@pytest.mark.parametrize("second", [(28, 28), (56, 84)])
def test_a_thumbnail_beside_a_photograph_makes_no_stack(segment, tmp_path, second):
    Image.fromarray(COLOURS[slices(1)[0]]).save(
        tmp_path / "photo.tif", save_all=True, append_images=[Image.new("L", second)]
    )
    assert segment(tmp_path / "photo.tif", tmp_path / "masks").returncode == 0
    assert (tmp_path / "masks/photo.png").is_file()
