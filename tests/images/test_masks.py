import io

import numpy as np
import pytest
from PIL import Image

from stego_cli.images.masks import apply_nodata, encode_mask, encode_overlay, labels_at
from stego_cli.palette import palette


def log_probs(labels, classes, sureness=0.9):
    other = (1 - sureness) / (classes - 1)
    return np.log(np.where(np.arange(classes)[:, None, None] == labels, sureness, other)).astype(np.float32)


def test_a_mask_is_a_palette_png_whose_pixels_are_the_classes():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with Image.open(io.BytesIO(encode_mask(labels, palette(256)))) as mask:
        assert (mask.format, mask.mode, mask.size) == ("PNG", "P", (16, 16))
        assert (np.asarray(mask) == labels).all()
        assert mask.convert("RGB").getpixel((3, 0)) == palette(256)[3]


def test_the_same_labels_give_the_same_bytes():
    labels = np.random.default_rng(0).integers(0, 5, (40, 30), np.uint8)
    assert encode_mask(labels, palette(5)) == encode_mask(labels.copy(), palette(5))


def test_an_overlay_has_the_size_of_the_labels_and_mixes_both():
    labels = np.zeros((30, 40), np.uint8)
    content = encode_overlay(Image.new("RGB", (40, 30), "black"), labels, palette(2))
    with Image.open(io.BytesIO(content)) as overlay:
        assert overlay.size == (40, 30)
        assert np.asarray(overlay).mean((0, 1)) == pytest.approx(0.55 * np.array(palette(2)[0]), abs=4)


def test_at_work_size_the_most_probable_class_is_taken():
    labels = np.random.default_rng(0).integers(0, 7, (14, 28), np.uint8)
    assert (labels_at(log_probs(labels, 7), (28, 14)) == labels).all()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (613, 407), (20, 700)])
def test_enlarging_chooses_the_class_whose_enlarged_probability_is_largest(size):
    generator = np.random.default_rng(1)
    values = np.log(generator.dirichlet(np.ones(5), (14, 28)).transpose(2, 0, 1)).astype(np.float32)
    planes = [np.asarray(Image.fromarray(np.exp(plane)).resize(size, Image.Resampling.BILINEAR)) for plane in values]
    winners = np.unique(values.argmax(0))
    wanted = winners[np.argmax(np.stack(planes)[winners], 0)]
    labels = labels_at(values, size)
    assert labels.dtype == np.uint8
    assert labels.shape == (size[1], size[0])
    assert (labels == wanted).all()


def test_one_class_everywhere_stays_so_at_any_size():
    labels = np.full((14, 14), 3, np.uint8)
    assert (labels_at(log_probs(labels, 5), (3001, 17)) == 3).all()


def test_a_border_lies_where_it_lay():
    labels = np.zeros((14, 28), np.uint8)
    labels[:, 14:] = 1
    large = labels_at(log_probs(labels, 2), (280, 140))
    assert (large[:, :140] == 0).all()
    assert (large[:, 140:] == 1).all()


def test_pixels_without_a_value_are_void_in_a_mask_that_any_reader_takes():
    labels = np.array([[0, 1], [2, 3]], np.uint8)
    nodata = np.array([[False, True], [False, False]])
    void = apply_nodata(labels, nodata)
    assert void.dtype == np.uint8
    assert void.tolist() == [[0, 255], [2, 3]]
    assert labels.tolist() == [[0, 1], [2, 3]]
    assert apply_nodata(labels, None) is labels
    with Image.open(io.BytesIO(encode_mask(void, palette(4)))) as mask:
        assert np.asarray(mask).tolist() == void.tolist()
        assert len(mask.getpalette()) == 3 * 256
        assert mask.convert("RGB").getpixel((1, 0)) == (0, 0, 0)
        assert mask.convert("RGB").getpixel((1, 1)) == palette(4)[3]
    assert encode_mask(labels, palette(4)) == encode_mask(labels.copy(), palette(4))
    with Image.open(io.BytesIO(encode_mask(labels, palette(4)))) as mask:
        assert len(mask.getpalette()) == 3 * 4
