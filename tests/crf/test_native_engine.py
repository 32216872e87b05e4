"""The native engine against pydensecrf, with every instruction set that the processor has."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from stego_cli.crf import _native, native_engine, pydensecrf_engine
from stego_cli.settings import CrfSettings

PHOTOS = ("anhinga", "canyon", "cat", "harbour", "heron", "lake", "osprey", "wren")
SETTINGS = CrfSettings()
INSTRUCTIONS = _native.instruction_sets()


def assert_equal_results(refined, expected):
    assert refined.shape == expected.shape
    assert refined.dtype == np.float32
    assert (refined.argmax(0) == expected.argmax(0)).mean() >= 0.9999
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4


def noise(classes, height, width, seed=1):
    scores = np.random.default_rng(seed).normal(size=(classes, height, width)).astype(np.float32)
    return scores - np.log(np.exp(scores).sum(0))


@pytest.mark.parametrize("sharpness", [2, 20], ids=["soft", "sharp"])
@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.pydensecrf
def test_it_refines_as_pydensecrf_does(scene, photo, sharpness):
    image, log_probs = scene(photo, 136, 172, sharpness)
    expected = pydensecrf_engine.refine_one(image, log_probs, SETTINGS)
    for instructions in INSTRUCTIONS:
        refined = native_engine.refine(image[None], log_probs[None], SETTINGS, 1, instructions)[0]
        assert_equal_results(refined, expected)
    assert (expected.argmax(0) != log_probs.argmax(0)).any()  # there was something to do


# One to a few vectors, padded and full rows, and more classes than the registers hold at once.
@pytest.mark.parametrize("classes", [2, 4, 5, 8, 11, 16, 40, 64, 100, 129, 200, 256])
@pytest.mark.pydensecrf
def test_any_number_of_classes_is_refined_as_by_pydensecrf(scene, classes):
    image, log_probs = scene("cat", 44, 52, 8, classes=classes)
    expected = pydensecrf_engine.refine_one(image, log_probs, SETTINGS)
    for instructions in INSTRUCTIONS:
        assert_equal_results(native_engine.refine(image[None], log_probs[None], SETTINGS, 1, instructions)[0], expected)


@pytest.mark.parametrize(
    "settings",
    [
        CrfSettings(1),
        CrfSettings(3, gaussian_sxy=2.5, gaussian_compat=1.5, bilateral_sxy=20, bilateral_srgb=9),
        CrfSettings(2, gaussian_sxy=0.3, bilateral_srgb=0.5),  # vertices without pixels between those with some
        CrfSettings(2, gaussian_sxy=40, bilateral_sxy=500, bilateral_srgb=200),
    ],
)
@pytest.mark.pydensecrf
def test_other_kernels_agree_too(scene, settings):
    image, log_probs = scene("canyon", 60, 84, 8)
    refined = native_engine.refine(image[None], log_probs[None], settings, 1)[0]
    assert_equal_results(refined, pydensecrf_engine.refine_one(image, log_probs, settings))


# pydensecrf pads pixels to a multiple of four with black ones in the corner, which a black image has there anyway.
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 1), (40, 24), (17, 33)])
@pytest.mark.parametrize("classes", [2, 27, 256])
@pytest.mark.pydensecrf
def test_a_constant_image_of_any_shape_is_refined_as_by_pydensecrf(height, width, classes):
    image = np.zeros((height, width, 3), np.uint8)
    log_probs = noise(classes, height, width)
    refined = native_engine.refine(image[None], log_probs[None], SETTINGS, 2)[0]
    assert_equal_results(refined, pydensecrf_engine.refine_one(image, log_probs, SETTINGS))


@pytest.mark.slow
def test_the_result_depends_neither_on_the_threads_nor_on_what_was_refined_before(scene):
    scenes = [scene(photo, 100, 150, 3) for photo in ("lake", "heron", "lake", "cat", "wren")]
    images, log_probs = (np.stack(parts) for parts in zip(*scenes, strict=True))
    alone = [
        native_engine.refine(image[None], values[None], SETTINGS, threads)[0]
        for image, values, threads in zip(images, log_probs, (1, 2, 3, 5, 16), strict=True)
    ]
    assert np.array_equal(alone[0], alone[2])
    for threads in (1, 2, 4, 9):
        assert np.array_equal(native_engine.refine(images, log_probs, SETTINGS, threads), np.stack(alone))


def refine_with(kernels, image, log_probs, threads):
    out = np.empty_like(log_probs)
    _native.refine(image, log_probs, out, (1, *log_probs.shape), kernels, 3, threads, "")
    return out


@pytest.mark.parametrize("deviation", [0.4, 1, 7, 60])
def test_spatial_kernels_add_up_with_any_number_of_threads(scene, deviation):
    image, log_probs = scene("lake", 60, 150, 3)
    colours = (20.0, 9.0, 4.0)
    together = refine_with(((deviation, 0.0, 3.0), colours), image, log_probs, 1)
    for threads in (1, 2, 5):
        apart = refine_with(((deviation, 0.0, 1.0), colours, (deviation, 0.0, 2.0)), image, log_probs, threads)
        assert np.abs(np.exp(apart) - np.exp(together)).max() < 1e-5


def test_without_kernels_nothing_but_the_scale_changes(scene):
    image, log_probs = scene("lake", 20, 50, 3)
    for threads in (1, 2):
        assert np.abs(refine_with((), image, log_probs + 5, threads) - log_probs).max() < 1e-4


def test_several_python_threads_refine_at_once(scene):
    image, log_probs = scene("harbour", 96, 128, 2)
    expected = native_engine.refine(image[None], log_probs[None], SETTINGS, 1)
    results: list[object] = [None] * 6

    def work(index: int) -> None:
        results[index] = native_engine.refine(image[None], log_probs[None], SETTINGS, 1 + index % 2)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(result, expected) for result in results)


def test_it_releases_the_gil(scene):
    image, log_probs = scene("osprey", 400, 600, 2)
    ticks, ended = 0, threading.Event()

    def work() -> None:
        native_engine.refine(image[None], log_probs[None], SETTINGS, 1)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not ended.wait(0.005):
        ticks += 1
    thread.join()
    assert ticks >= 10  # it takes half a second and more


def test_arrays_of_another_memory_layout_or_dtype_are_converted(scene):
    image, log_probs = scene("wren", 40, 60, 4)
    expected = native_engine.refine(image[None], log_probs[None], SETTINGS, 1)
    turned = np.asfortranarray(image)[None], np.asfortranarray(log_probs)[None].astype(np.float64)
    assert np.abs(native_engine.refine(*turned, SETTINGS, 1) - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": (1, 3, 5, 4)}, "bytes"),
        ({"shape": (1, 0, 4, 4)}, "out of range"),
        ({"shape": (1, 3, 4, 0)}, "out of range"),
        ({"kernels": ((-1.0, 0.0, 3.0),)}, "positive"),
        ({"kernels": ((1e-9, 1e-9, 3.0),)}, "too small"),
        ({"kernels": ((1.0, 0.0, 3.0),) * 17}, "17 kernels"),
        ({"instructions": "mmx"}, "no mmx"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, words):
    arguments = {"shape": (1, 3, 4, 4), "kernels": ((1.0, 0.0, 3.0),), "instructions": ""} | change
    image, values, out = np.zeros((1, 4, 4, 3), np.uint8), *np.zeros((2, 1, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=words):
        _native.refine(image, values, out, arguments["shape"], arguments["kernels"], 2, 1, arguments["instructions"])
