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
from stego_cli.crf.lattice import bilateral_features, build_lattice
from stego_cli.crf.spatial_stencil import spatial_stencil
from stego_cli.errors import UsageError
from stego_cli.settings import CrfSettings

triton = pytest.importorskip("triton", reason="Triton has no wheels for this system")
gpu_lattice = pytest.importorskip("stego_cli.crf.gpu_lattice")

PHOTOS = {"canyon": 2, "cat": 20, "wren": 20}  # sharpness of the log-probabilities
# Two iterations run every kernel in every role; the interpreter takes milliseconds for each of their programs.
SETTINGS = CrfSettings(iterations=2)

# Triton decides when it is imported whether it interprets, so the cases run in a process of their own, all in one.
INTERPRET = """
import sys
import numpy as np, torch
from stego_cli.crf import cuda_engine
from stego_cli.crf.gpu_lattice import build_bilateral
from stego_cli.crf.lattice import bilateral_features, build_lattice
from stego_cli.settings import CrfSettings

folder, settings = sys.argv[1], CrfSettings(iterations=2)
cases, results = np.load(folder + "/cases.npz"), {}
for name in {key.split("/")[0] for key in cases.files}:
    images, log_probs = cases[name + "/images"], cases[name + "/log_probs"]
    if name == "split":
        tensors = torch.tensor(images), torch.tensor(log_probs)
        results[name] = cuda_engine.refine_on_device(*tensors, settings, share_of_memory=0).numpy()
    else:
        results[name] = cuda_engine.refine(images, log_probs, settings)
    images = torch.tensor(images)
    expected = build_lattice(bilateral_features(images, 67.0, 3.0), len(images))
    found = build_bilateral(images, 67.0, 3.0)
    results["lattice/" + name] = [torch.equal(getattr(expected, key), getattr(found, key)) for key in vars(expected)]
np.savez(folder + "/results.npz", **results)
"""


def noise(classes, height, width):
    scores = np.random.default_rng(1).normal(size=(classes, height, width)).astype(np.float32)
    return scores - np.log(np.exp(scores).sum(0))


@pytest.fixture(scope="module")
def cases(scene):
    """Return images and log-probabilities of each case."""
    photos = [scene(photo, 12, 16, sharpness) for photo, sharpness in PHOTOS.items()]
    pair = [scene(photo, 8, 12, 5, classes=5) for photo in ("heron", "osprey")]
    flat = np.full((16, 20, 3), 200, np.uint8)  # dozens of pixels on one vertex
    sets = {
        "photos": photos,
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


@pytest.mark.pydensecrf
@pytest.mark.slow
def test_the_kernels_refine_photographs_as_pydensecrf_does(cases, interpreted):
    scenes = zip(*cases["photos"], strict=True)
    expected = np.stack([pydensecrf_engine.refine_one(image, planes, SETTINGS) for image, planes in scenes])
    refined = interpreted["photos"]
    assert refined.shape == expected.shape
    assert refined.dtype == np.float32
    assert (refined.argmax(1) == expected.argmax(1)).mean() >= 0.9995
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-4
    assert (refined.argmax(1) != cases["photos"][1].argmax(1)).any()  # it did something


@pytest.mark.parametrize("name", ["flat", "one pixel", "one row", "one class", "256 classes", "together"])
@pytest.mark.slow
def test_the_kernels_refine_unusual_input_as_the_torch_engine_does(cases, interpreted, name):
    expected = torch_engine.refine(*cases[name], SETTINGS)
    assert interpreted[name].shape == expected.shape
    assert np.abs(np.exp(interpreted[name]) - np.exp(expected)).max() < 1e-5


@pytest.mark.slow
def test_the_lattice_is_that_of_torch_to_the_bit(cases, interpreted):
    for name in cases:
        assert len(interpreted[f"lattice/{name}"]) == 5
        assert interpreted[f"lattice/{name}"].all(), name


@pytest.mark.slow
def test_a_batch_too_large_for_one_pass_gives_the_same_bytes(interpreted):
    assert np.array_equal(interpreted["split"], interpreted["together"])


class Hopper:
    """The part of a GPU driver that Triton needs to start a kernel."""

    def get_current_device(self):
        return 99  # not a real one's number, under which Triton keeps what it has built

    def get_current_stream(self, device):
        return 0

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)


def in_torch(images, sxy, srgb):
    return build_lattice(bilateral_features(images, sxy, srgb), len(images))


@pytest.mark.slow
def test_every_kernel_that_the_engine_starts_compiles_for_a_gpu_with_loads_of_sixteen_bytes(
    scene, monkeypatch, tmp_path
):
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    built = {}
    run = JITFunction.run

    def compile_only(self, *args, warmup, **options):
        kernel = run(self, *args, warmup=True, **options)
        built[kernel.hash] = (self.__name__, kernel.asm)
        return kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(JITFunction, "run", compile_only)
    image, log_probs = scene("wren", 48, 64, 2)
    image[:20] = 3  # a flat region, for the kernel of the long lists
    before = driver.active if torch.cuda.is_available() else None
    driver.set_active(Hopper())
    try:
        tensors = torch.tensor(image)[None], torch.tensor(log_probs)[None]
        gpu_lattice.build_bilateral(tensors[0], 67.0, 3.0)
        with monkeypatch.context() as patch:  # kernels that do not run need a lattice to go on with
            patch.setattr(gpu_lattice, "build_bilateral", in_torch)
            cuda_engine.refine_on_device(*tensors, SETTINGS)
    finally:
        driver.set_active(before)
        spatial_stencil.cache_clear()  # its sums were never computed
    passes = {"splat", "splat_long", "blur", "update"}
    building = {"simplices", "starts", "collect", "number", "arrange", "neighbours"}
    assert {name for name, _ in built.values()} == passes | building | {"normalise"}
    assert all(assembly["cubin"] for _, assembly in built.values())
    for name, assembly in built.values():
        if name in passes:
            assert re.search(r"ld\.global\S*\.v4\.", assembly["ptx"]), name
        if name == "simplices":  # float32 as in torch: rounded after each operation
            assert not re.search(r"\bfma\.|div\.full|\.ftz", assembly["ptx"])


def test_without_a_gpu_the_engine_says_so_in_a_sentence(scene, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    image, log_probs = scene("wren", 8, 8, 2)
    with pytest.raises(UsageError, match="found no NVIDIA GPU"):
        cuda_engine.refine(image[None], log_probs[None], SETTINGS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.pydensecrf
def test_on_a_gpu_it_refines_as_pydensecrf_does(scene):
    settings = CrfSettings()
    scenes = [scene(photo, 96, 128, sharpness) for photo in PHOTOS for sharpness in (2, 20)]
    images, log_probs = (np.stack(parts) for parts in zip(*scenes, strict=True))
    refined = cuda_engine.refine(images, log_probs, settings)
    expected = np.stack([pydensecrf_engine.refine_one(image, planes, settings) for image, planes in scenes])
    assert (refined.argmax(1) == expected.argmax(1)).mean() >= 0.9995
    assert np.abs(np.exp(refined) - np.exp(expected)).max() < 1e-3
    assert np.array_equal(refined, cuda_engine.refine(images, log_probs, settings))
