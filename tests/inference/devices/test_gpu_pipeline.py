"""The GPU's pipeline, run on the CPU: ONNX Runtime writes into torch's memory there too, Triton interprets the CRF."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from stego_cli.crf import refine
from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.decode import decode
from stego_cli.images.masks import labels_at
from stego_cli.inference.devices import gpu_pipeline
from stego_cli.inference.devices.gpu_pipeline import DevicePipeline
from stego_cli.inference.session import Session, is_out_of_memory
from stego_cli.inference.tiles import in_tiles
from stego_cli.settings import CrfSettings

CRF = CrfSettings(iterations=1)  # what further ones do is tested with the kernels

# Triton decides when it is imported whether it interprets. Two threads, because the engine is made for one at a time.
INTERPRET = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from stego_cli.inference.devices.gpu_pipeline import DevicePipeline
from stego_cli.inference.session import Session
from stego_cli.settings import CrfSettings

model, folder = sys.argv[1:]
pipeline = DevicePipeline(Session.from_file(Path(model), "cpu"), "cluster", CrfSettings(iterations=1))
with np.load(folder + "/batch.npz") as batch, ThreadPoolExecutor(2) as threads:
    images, sizes = batch["images"], [tuple(size) for size in batch["sizes"].tolist()]
    parts = (slice(0, 2), slice(2, 3))
    futures = [threads.submit(pipeline.labels, images[part], sizes[part]) for part in parts]
    results = [labels for future in futures for labels in future.result()]
np.savez(folder + "/labels.npz", *results)
"""


@pytest.fixture(scope="module")
def session(tiny_model):
    return Session.from_file(tiny_model, "cpu")


@pytest.fixture(scope="module")
def batches(photos_folder):
    """Return the photographs by shape: images, uint8 (B, H, W, 3), and own sizes."""
    by_shape = {}
    for file in sorted(photos_folder.glob("*.jpg")):
        decoded = decode(file, 56, 14)
        by_shape.setdefault(decoded.pixels.shape, []).append(decoded)
    return [(np.stack([one.pixels for one in group]), [one.size for one in group]) for group in by_shape.values()]


def by_the_host(session, images, sizes, crf=None):
    """Return what stego_cli/inference/predict.py makes of the same photographs."""
    planes = session.log_probs(images)
    if crf:
        planes = refine(images, planes, crf)
    return [labels_at(one, size) for one, size in zip(planes, sizes, strict=True)]


def agreement(labels, expected):
    assert [one.shape for one in labels] == [one.shape for one in expected]
    assert all(one.dtype == np.uint8 for one in labels)
    same = sum(int((ours == theirs).sum()) for ours, theirs in zip(labels, expected, strict=True))
    return same / sum(one.size for one in expected)


def test_photographs_get_the_labels_that_the_host_gives_them(session, batches):
    assert max(len(sizes) for _, sizes in batches) > 1
    pipeline = DevicePipeline(session, "cluster", None)
    for images, sizes in batches:
        expected = by_the_host(session, images, sizes)
        assert len(np.unique(expected[0])) > 1
        assert agreement(pipeline.labels(images, sizes), expected) >= 0.9999


@pytest.mark.parametrize("size", [(70, 56), (30, 20), (7, 100), (3, 5), (1, 1), (1400, 40)])
def test_any_size_is_reached_as_pillow_reaches_it(session, photos_folder, size):
    images = decode(photos_folder / "harbour.jpg", 56, 14).pixels[None]
    expected = by_the_host(session, images, [size])
    assert agreement(DevicePipeline(session, "cluster", None).labels(images, [size]), expected) >= 0.9999


def test_classes_in_parts_give_the_same_bytes(session, photos_folder):
    images = decode(photos_folder / "anhinga.jpg", 56, 14).pixels[None]
    whole, *_ = DevicePipeline(session, "cluster", None).labels(images, [(300, 200)])
    assert len(np.unique(whole)) == 4
    for planes in (1, 3):
        pipeline = DevicePipeline(session, "cluster", None, held=planes * 4 * 300 * 200)
        assert np.array_equal(pipeline.labels(images, [(300, 200)])[0], whole)


@pytest.mark.slow
def test_photographs_seen_in_tiles_get_the_labels_that_the_host_gives_them(session, photos_folder, monkeypatch):
    images = decode(photos_folder / "harbour.jpg", 980, 14).pixels[None]
    (planes,) = in_tiles(images, 14, session.run)
    monkeypatch.setattr(session, "run_in_place", None)  # not the way for these
    (labels,) = DevicePipeline(session, "cluster", None).labels(images, [(1200, 900)])
    assert agreement([labels], [labels_at(planes[0], (1200, 900))]) >= 0.9999


@pytest.mark.slow
def test_with_the_crf_two_threads_get_the_labels_that_the_host_gives(session, tiny_model, photos_folder, tmp_path):
    pytest.importorskip("triton", reason="Triton has no wheels for this system")
    decoded = [decode(photos_folder / f"{name}.jpg", 28, 14) for name in ("harbour", "wren", "canyon")]
    images = np.stack([one.pixels for one in decoded])
    sizes = [one.size for one in decoded]
    np.savez(tmp_path / "batch.npz", images=images, sizes=sizes)
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", INTERPRET, str(tiny_model), str(tmp_path)], check=True, env=environment)
    with np.load(tmp_path / "labels.npz") as stored:
        labels = list(stored.values())
    expected = by_the_host(session, images, sizes, CRF)
    assert agreement(labels, expected) >= 0.9999
    assert agreement(by_the_host(session, images, sizes), expected) < 0.9999  # it did something


def test_several_threads_at_once_get_what_one_gets(session, batches):
    pipeline = DevicePipeline(session, "cluster", None)
    alone = [pipeline.labels(*batch) for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            together = list(threads.map(lambda batch: pipeline.labels(*batch), batches))
            assert all(
                np.array_equal(ours, theirs)
                for group, others in zip(together, alone, strict=True)
                for ours, theirs in zip(group, others, strict=True)
            )


def test_a_photograph_without_finite_values_has_a_reason_and_the_others_their_labels(tiny_model):
    model = onnx.load(tiny_model)
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights[0, 0] = 3e38  # overflows wherever there is more than a little red
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))
    session = Session.from_bytes(model.SerializeToString(), "cpu")
    images = np.zeros((3, 14, 28, 3), np.uint8)
    images[1, 5, 5] = 255, 0, 0
    images[2, :, :, 2] = 200
    first, second, third = DevicePipeline(session, "cluster", None).labels(images, [(28, 14), (50, 50), (28, 14)])
    assert (first == 3).all()
    assert isinstance(second, PhotoError)
    assert "not finite" in second.message
    assert (third == 2).all()
    (only,) = DevicePipeline(session, "cluster", None).labels(images[1:2], [(28, 14)])
    assert isinstance(only, PhotoError)


@pytest.mark.slow
def test_running_out_of_memory_is_told_apart_and_leaves_nothing_behind(session, monkeypatch):
    tensors = []

    def run_out(images, log_probs, *_):
        """Keep weak references to the tensors at both addresses, and ask for more than any machine holds."""
        found = [each for each in gc.get_objects() if type(each) is torch.Tensor]
        tensors.extend(weakref.ref(each) for each in found if each.data_ptr() in (images, log_probs))
        torch.empty(1 << 50, dtype=torch.uint8)

    monkeypatch.setattr(session, "run_in_place", run_out)
    with pytest.raises(RuntimeError) as caught:
        DevicePipeline(session, "cluster", None).labels(np.zeros((1, 14, 14, 3), np.uint8), [(14, 14)])
    gc.collect()
    assert is_out_of_memory(caught.value)
    assert len(tensors) >= 2
    assert [tensor() for tensor in tensors] == [None] * len(tensors)  # although the error is still alive


def test_a_gpu_that_torch_cannot_use_is_named_with_its_build(tiny_model):
    session = Session.from_file(tiny_model, "cpu")
    session.device = "cuda:99"
    with pytest.raises(UsageError, match=r"cuda:99': PyTorch \S+ \(built for .+\) cannot use GPU 99"):
        DevicePipeline(session, "cluster", None)


def test_a_machine_without_triton_or_a_gpu_is_refused_the_crf_alone(session, monkeypatch):
    monkeypatch.setattr(gpu_pipeline.cuda_engine, "missing", lambda: "Triton is not installed")
    with pytest.raises(UsageError, match="Triton is not installed"):
        DevicePipeline(session, "cluster", CRF)
    assert gpu_pipeline.missing(session, None) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_threads_get_the_labels_that_the_host_gives(session, tiny_model, batches):
    on_gpu = Session.from_file(tiny_model, "cuda")
    for crf in (None, CrfSettings()):
        pipeline = DevicePipeline(on_gpu, "cluster", crf)
        with ThreadPoolExecutor(2) as threads:
            results = list(threads.map(lambda batch, run=pipeline: run.labels(*batch), batches * 3))
        for labels, (images, sizes) in zip(results, batches * 3, strict=True):
            assert agreement(labels, by_the_host(session, images, sizes, crf)) >= 0.999
