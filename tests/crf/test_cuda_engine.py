"""The CUDA engine without a GPU: its kernels in Triton's interpreter, and compiled to a GPU's machine code."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from stego_cli.crf import cuda_engine, pydensecrf_engine, torch_engine
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

triton = pytest.importorskip("triton", reason="Triton has no wheels for this system")

PHOTOS = ("anhinga", "canyon", "cat", "harbour", "lake", "wren")
# Two iterations run every kernel in every role; the interpreter takes milliseconds for each of their programs.
SETTINGS = CrfSettings(iterations=2)

# Triton decides when it is imported whether it interprets, so the cases run in a process of their own, all in one.
INTERPRET = """
import sys
import numpy as np, torch
from stego_cli.crf import cuda_engine
from stego_cli.settings import CrfSettings

folder, settings = sys.argv[1], CrfSettings(iterations=2)
cases, results = np.load(folder + "/cases.npz"), {}
for name in {key.split("/")[0] for key in cases.files}:
    images, log_probs = cases[name + "/images"], cases[name + "/log_probs"]
    if name == "labels":
        results[name] = cuda_engine.labels_on_device(torch.tensor(images), torch.tensor(log_probs), settings).numpy()
        continue
    if name == "split":
        cuda_engine._SHARE_OF_MEMORY = 0  # each photograph on its own
    results[name] = cuda_engine.refine(images, log_probs, settings, 1)
    cuda_engine._SHARE_OF_MEMORY = 0.25
np.savez(folder + "/results.npz", **results)
"""


def noise(classes, height, width):
    scores = np.random.default_rng(1).normal(size=(classes, height, width)).astype(np.float32)
    return scores - np.log(np.exp(scores).sum(0))


@pytest.fixture(scope="module")
def cases(scene):
    """Return images and log-probabilities of each case."""
    photos = [scene(photo, 16, 24, sharpness) for photo in PHOTOS for sharpness in (2, 20)]
    pair = [scene(photo, 8, 12, 5, classes=5) for photo in ("heron", "osprey")]
    flat = np.full((16, 20, 3), 200, np.uint8)  # dozens of pixels on one vertex
    sets = {
        "photos": photos,
        "labels": pair,
        "split": pair,
        "together": pair,
        "flat": [(flat, noise(3, 16, 20))],
        "one pixel": [(flat[:1, :1], noise(4, 1, 1))],
        "one row": [(flat[:1, :9], noise(4, 1, 9))],
        "one class": [(flat[:4, :4], np.zeros((1, 4, 4), np.float32))],
        "256 classes": [(flat[:4, :6], noise(256, 4, 6))],
    }
    return {name: tuple(np.stack(parts) for parts in zip(*scenes, strict=True)) for name, scenes in sets.items()}


@pytest.fixture(scope="module")
def interpreted(cases, tmp_path_factory):
    """Return the interpreter's result of each case."""
    folder = tmp_path_factory.mktemp("interpreted")
    parts = {f"{name}/images": images for name, (images, _) in cases.items()}
    parts |= {f"{name}/log_probs": log_probs for name, (_, log_probs) in cases.items()}
    np.savez(folder / "cases.npz", **parts)
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", INTERPRET, str(folder)], check=True, env=environment)
    return dict(np.load(folder / "results.npz"))


def test_the_kernels_refine_photographs_as_pydensecrf_does(cases, interpreted):
    scenes = zip(*cases["photos"], strict=True)
    expected = np.stack([pydensecrf_engine.refine(image, planes, SETTINGS) for image, planes in scenes])
    refined = interpreted["photos"]
    assert refined.shape == expected.shape
    assert refined.dtype == np.float32
    assert (refined.argmax(1) == expected.argmax(1)).mean() >= 0.9995
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4
    assert (refined.argmax(1) != cases["photos"][1].argmax(1)).any()  # it did something


@pytest.mark.parametrize("name", ["flat", "one pixel", "one row", "one class", "256 classes", "together"])
def test_the_kernels_refine_unusual_input_as_the_torch_engine_does(cases, interpreted, name):
    expected = torch_engine.refine(*cases[name], SETTINGS)
    assert interpreted[name].shape == expected.shape
    assert np.abs(np.exp(interpreted[name]) - np.exp(expected)).max() < 1e-5


def test_labels_are_the_likeliest_classes_as_bytes(interpreted):
    assert interpreted["labels"].dtype == np.uint8
    assert np.array_equal(interpreted["labels"], interpreted["together"].argmax(1))


def test_a_batch_too_large_for_one_pass_gives_the_same_bytes(interpreted):
    assert np.array_equal(interpreted["split"], interpreted["together"])


def test_the_kernels_compile_for_a_gpu_with_loads_of_sixteen_bytes(monkeypatch, tmp_path):
    from triton.backends.compiler import GPUTarget

    from stego_cli.crf import triton_kernels as kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    rows = torch.empty(0, cuda_engine._width(27))
    pointers = {"first": "*i32", "pixel": "*i32", "long": "*i32", "neighbours": "*i32", "second": "*i32"}
    pointers |= {"spatial_vertices": "*i32", "bilateral_vertices": "*i32"}
    numbers = ("pixels", "count", "pitch", "classes", "spatial_count")
    corners = {"SPATIAL": 3, "BILATERAL": 6}
    variants = [(kernels.splat, {"SHORT": 32}), (kernels.splat_long, {})]
    variants += [(kernels.blur, {"PAIR": pair}) for pair in (True, False)]
    variants += [(kernels.update, {**corners, "OUTPUT": output}) for output in (0, 1, 2)]
    for kernel, constants in variants:
        constants |= {key: value for key, value in cuda_engine._block(rows).items() if key.isupper()}
        names = kernel.arg_names
        types = {name: "i32" if name in numbers else pointers.get(name, "*fp32") for name in names}
        types |= dict.fromkeys(constants, "constexpr") | ({"result": "*u8"} if constants.get("OUTPUT") == 2 else {})
        aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if types[name].startswith("*")}
        values = {(names.index(name),): value for name, value in constants.items()}
        source = triton.compiler.ASTSource(kernel, types, values, aligned)
        built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": True})
        assert built.asm["cubin"]
        assert re.search(r"ld\.global\S*\.v4\.", built.asm["ptx"]), kernel


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_engine_says_so_in_a_sentence(scene):
    image, log_probs = scene("wren", 8, 8, 2)
    with pytest.raises(UsageError, match="found no NVIDIA GPU"):
        cuda_engine.refine(image[None], log_probs[None], SETTINGS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_it_refines_as_pydensecrf_does(scene):
    settings = CrfSettings()
    scenes = [scene(photo, 96, 128, sharpness) for photo in PHOTOS for sharpness in (2, 20)]
    images, log_probs = (np.stack(parts) for parts in zip(*scenes, strict=True))
    refined = cuda_engine.refine(images, log_probs, settings)
    expected = np.stack([pydensecrf_engine.refine(image, planes, settings) for image, planes in scenes])
    assert (refined.argmax(1) == expected.argmax(1)).mean() >= 0.9995
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-3
    assert np.array_equal(refined, cuda_engine.refine(images, log_probs, settings))


def test_more_classes_than_a_byte_holds_are_refused_as_labels():
    with pytest.raises(ValueError, match="257 classes"):
        cuda_engine.labels_on_device(torch.zeros(1, 1, 1, 3, dtype=torch.uint8), torch.zeros(1, 257, 1, 1), SETTINGS)
