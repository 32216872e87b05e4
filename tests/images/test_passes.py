import io
import zlib

import numpy as np
import pytest
from PIL import Image

from stego_cli.images import palette_png as module
from stego_cli.images import passes
from stego_cli.images.palette_png import palette_png

SIZES = [(640, 480), (434, 322), (61, 47), (7, 90), (90, 7), (1, 1), (3, 40)]  # width and height
needs_native = pytest.mark.skipif(not passes.HAS_NATIVE, reason="the package was installed without its native part")


def noise(width, height, *more):
    return np.random.default_rng(width + height).integers(0, 256, (height, width, *more), np.uint8)


@pytest.fixture
def without_native(monkeypatch):
    """Call something as it is called where nothing was compiled."""

    def call(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setattr(passes, "HAS_NATIVE", False)
            return function(*arguments)

    return call


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("new", SIZES)
def test_a_picture_is_resized_to_pillows_bytes(size, new):
    image = Image.fromarray(noise(*size, 3))
    expected = np.asarray(image.resize(new, Image.Resampling.BILINEAR))
    resized = passes.resized(image, new)
    assert resized.dtype == np.uint8
    assert np.array_equal(resized, expected)


def test_a_picture_that_pillow_keeps_in_parts_is_resized_too():
    image = Image.new("RGB", (2500, 2000), (9, 100, 250))  # 20 MB, of which Pillow keeps 16 together
    assert (passes.resized(image, (40, 30)) == (9, 100, 250)).all()


@needs_native
@pytest.mark.parametrize("new", SIZES)
@pytest.mark.parametrize("held", [1, 10**6])  # one plane at a time, and all of them
def test_the_class_of_the_largest_enlarged_probability_is_the_same_with_and_without_native_code(
    new, held, without_native
):
    generator = np.random.default_rng(1)
    log_probs = np.log(generator.dirichlet(np.ones(5), (47, 61)).transpose(2, 0, 1)).astype(np.float32)
    classes = np.array([0, 1, 3, 4])
    native = passes.likeliest_enlarged(log_probs, classes, new, held)
    assert set(np.unique(native)) <= {0, 1, 3, 4}
    assert np.array_equal(native, without_native(passes.likeliest_enlarged, log_probs, classes, new))


@needs_native
def test_the_likeliest_class_is_the_first_of_equal_ones():
    log_probs = np.round(np.random.default_rng(0).normal(size=(256, 37, 41)), 1).astype(np.float32)
    for planes in (log_probs, log_probs[::-1], log_probs[:1]):  # not contiguous; a single class
        chosen, classes = passes.likeliest(planes)
        assert chosen.dtype == np.uint8
        assert np.array_equal(chosen, planes.argmax(0))
        assert np.array_equal(classes, np.unique(chosen))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (640, 480)])
def test_pixels_are_counted_by_value(size, without_native):
    labels = noise(*size)
    expected = [(labels == value).sum() for value in range(256)]
    assert passes.counts(labels).tolist() == expected
    assert without_native(passes.counts, labels).tolist() == expected
    assert passes.counts(np.zeros((4, 4), np.uint8)[:, ::2])[0] == 8


def test_values_take_the_place_of_labels():
    labels = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    assert passes.replaced(labels, np.array([7, 255, 0], np.uint8)).tolist() == [[7, 255, 0], [0, 255, 7]]


@needs_native
def test_native_code_refuses_arrays_that_do_not_fit():
    from stego_cli.images import _native

    pixels = np.zeros((4, 4), np.uint8)
    _, capsule = Image.new("RGB", (4, 4)).__arrow_c_array__()
    for call in (
        lambda: _native.count(pixels, np.zeros(255, np.int64), 16),
        lambda: _native.choose(np.zeros((2, 16), np.float32), pixels, np.zeros(256, np.uint8), (3, 16)),
        lambda: _native.resize(capsule, (5, 4), np.zeros((2, 2, 3), np.uint8), (2, 2)),
        lambda: _native.resize(capsule, (4, 4), np.zeros((2, 2, 3), np.uint8), (0, 2)),
        lambda: _native.resize(Image.new("L", (4, 4)).__arrow_c_array__()[1], (4, 4), pixels, (1, 1)),
    ):
        with pytest.raises(ValueError):  # noqa: PT011  (each says another thing)
            call()


@pytest.mark.parametrize("size", [(1, 1), (640, 480), (9, 130_000), (1_200_000, 2)])
def test_a_palette_png_holds_the_labels_whatever_its_rows_are_divided_into(size, monkeypatch):
    labels = noise(*size) // 100
    content = palette_png(labels, bytes(range(9)))
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == "P"
        assert opened.getpalette() == list(range(9))
        assert np.array_equal(np.asarray(opened), labels)
    monkeypatch.setattr(module, "deflate", zlib)  # as where zlib-ng is not installed
    assert palette_png(labels, bytes(range(9))) == content
