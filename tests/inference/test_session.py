"""A session: its threads, memory given by the caller, and what happens when a GPU or the memory fails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from stego_cli.errors import ModelError, UsageError
from stego_cli.inference.devices import providers
from stego_cli.inference.session import Session, is_out_of_memory

TASKS = Path("/proc/self/task")  # the threads of this process
needs_a_failing_gpu = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers() or torch.cuda.is_available(),
    reason="needs an ONNX Runtime with CUDA, and no GPU",
)


@pytest.fixture
def a_gpu_by_name(driver):
    """As on a machine whose driver names a GPU that ONNX Runtime cannot start."""
    driver(gpus=1)


def pictures(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 28, 42, 3), np.uint8)


def test_it_writes_into_the_memory_it_is_given(tiny_model):
    session, images = Session.from_file(tiny_model, "cpu"), pictures()
    values = np.full((3, 4, 28, 42), np.nan, np.float32)
    session.run_in_place(images.ctypes.data, values.ctypes.data, (3, 4, 28, 42), "cluster")
    assert np.array_equal(values, session.log_probs(images))
    assert session.gpu is None


def test_sessions_of_one_thread_run_side_by_side_and_give_the_same(tiny_model):
    images = pictures(8)
    expected = Session.from_file(tiny_model, "cpu").log_probs(images)
    single = Session.from_file(tiny_model, "cpu", threads=1)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda image: single.log_probs(image[None])[0], images))
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.skipif(not TASKS.exists(), reason="has no /proc")
@pytest.mark.parametrize(("threads", "more"), [(1, 0), (3, 2)])
def test_a_session_starts_no_more_threads_than_it_is_given(tiny_model, threads, more):
    before = set(TASKS.iterdir())
    session = Session.from_file(tiny_model, "cpu", threads=threads)
    assert len(set(TASKS.iterdir()) - before) == more
    assert session.threads == threads


@needs_a_failing_gpu
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_asked_for_that_does_not_start_is_an_error_that_names_the_library(tiny_model, a_gpu_by_name, device):
    with pytest.raises(UsageError, match=rf"device='{device}:0': .*lib\w+\.so") as caught:
        Session.from_file(tiny_model, device)
    assert "pip install" in (caught.value.remedy or "")


@needs_a_failing_gpu
def test_with_auto_a_gpu_that_does_not_start_is_told_and_the_cpu_used(tiny_model, a_gpu_by_name, capfd):
    session = Session.from_file(tiny_model, "auto")
    assert session.device == "cpu"
    assert session.why.startswith("a GPU was found, but a library is missing or of another version: lib")
    assert session.run(pictures())[0].shape == (3, 4, 28, 42)
    assert capfd.readouterr().out == ""  # ONNX Runtime's own words would spoil --json


@needs_a_failing_gpu
def test_a_bad_model_is_the_models_fault_on_a_gpu_too(a_gpu_by_name):
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        Session.from_bytes(b"nothing", "cuda", "bad.onnx")


def test_a_model_for_a_gpu_is_loaded_once_and_not_on_the_cpu_first(tiny_model, a_gpu_by_name, monkeypatch):
    chains, start = [], ort.InferenceSession

    def started(content, options, providers, **others):
        chains.append(providers)
        return start(content, options, providers=["CPUExecutionProvider"], **others)

    monkeypatch.setattr(ort, "InferenceSession", started)
    monkeypatch.setitem(providers.PROVIDERS, "cuda", "CPUExecutionProvider")  # in its place
    assert Session.from_file(tiny_model, "cuda").device == "cuda:0"
    ((first, _),) = chains
    assert first[0] == "CPUExecutionProvider"
    assert first[1]["device_id"] == "0"


def errors_of_memory():
    """Return what numpy, torch and ONNX Runtime really raise here when asked for a petabyte."""
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["size"], ["filled"])],
        "large",
        [helper.make_tensor_value_info("size", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("filled", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    calls = {
        "numpy": lambda: np.empty(1 << 50, np.uint8),
        "torch": lambda: torch.empty(1 << 50, dtype=torch.uint8),
        "ONNX Runtime": lambda: session.run(None, {"size": np.array([1 << 48])}),
    }
    for name, call in calls.items():
        try:
            call()
        except Exception as error:
            yield name, error


def test_errors_for_want_of_memory_are_told_from_others():
    raised = dict(errors_of_memory())
    assert len(raised) == 3
    for name, error in raised.items():
        assert is_out_of_memory(error), f"{name}: {error}"
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    for said in (
        "Non-zero status code returned while running MatMul node. CUDA failure 2: out of memory ; GPU=0",
        "bfc_arena.cc:359 Available memory of 5 is smaller than requested bytes of 1024",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0",
        "Triton Error [CUDA]: out of memory",
    ):
        assert is_out_of_memory(RuntimeError(said)), said
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_out_of_memory(ValueError("shapes do not fit"))
