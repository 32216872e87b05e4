"""Which device a session takes, and what is said where one cannot be used, with drivers of every kind."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import onnxruntime as ort
import pytest

from stego_cli.errors import UsageError
from stego_cli.inference.devices import providers

with_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" not in ort.get_available_providers(), reason="this ONNX Runtime has no CUDA"
)


@pytest.mark.parametrize(
    ("device", "devices"),
    [
        ("auto", ["auto"]),
        ("cpu", ["cpu"]),
        ("cuda", ["cuda:0"]),
        ("cuda:2", ["cuda:2"]),
        ("cuda:0,1", ["cuda:0", "cuda:1"]),
        ("tensorrt", ["tensorrt:0"]),
        ("tensorrt:1", ["tensorrt:1"]),
    ],
)
def test_a_device_names_one_or_several_gpus(device, devices):
    assert providers.parse_devices(device) == devices


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:x", "cuda0", "cuda:0,", "cuda:-1", "cuda:²", "cpu:0"])
def test_other_words_are_refused_with_those_that_exist(device):
    with pytest.raises(UsageError, match="auto, cpu, cuda, cuda:N"):
        providers.parse_devices(device)


def test_a_gpu_named_twice_and_several_for_one_model_are_refused():
    with pytest.raises(UsageError, match="names a GPU twice"):
        providers.parse_devices("cuda:1,01")
    with pytest.raises(UsageError, match="names 2 GPUs"):
        providers.choose("cuda:0,1")


@with_cuda
def test_auto_takes_the_first_gpu_or_says_why_not(driver):
    driver(gpus=2)
    assert providers.choose("auto")[0] == "cuda:0"
    driver(present=False)
    assert providers.choose("auto") == ("cpu", "there is no NVIDIA driver (libcuda cannot be loaded)")
    assert providers.choose("cpu") == ("cpu", "asked for")


@with_cuda
@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
@pytest.mark.parametrize(
    ("about", "visible", "said"),
    [
        ({"present": False}, None, "no NVIDIA driver"),
        ({"code": 100}, None, r"no GPU is visible\."),
        ({"code": 100}, "", r"no GPU is visible \(CUDA_VISIBLE_DEVICES is ''\)"),
        ({"gpus": 0}, "7", r"no GPU is visible \(CUDA_VISIBLE_DEVICES is '7'\)"),
        ({"gpus": 1}, None, "only GPU 0 is visible"),
        ({"gpus": 3}, "1,2,3", r"only GPUs 0 to 2 are visible \(CUDA_VISIBLE_DEVICES is '1,2,3'\)"),
        ({"code": 802}, None, "the NVIDIA driver reports: system not yet initialized"),
        ({"gpus": 8, "version": 11040}, None, r"driver supports CUDA 11\.4, ONNX Runtime \S+ is built for CUDA \d"),
    ],
)
def test_a_gpu_asked_for_that_cannot_be_used_is_an_error_that_says_what_is_missing(
    driver, monkeypatch, kind, about, visible, said
):
    driver(**about)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(UsageError, match=said) as caught:
        providers.choose(f"{kind}:5")
    assert str(caught.value).startswith(f"device='{kind}:5': ")
    assert str(caught.value).endswith("or give device='cpu'.")


def test_a_runtime_built_for_the_cpu_alone_is_told(driver, monkeypatch):
    driver()
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="a build without CUDA") as caught:
        providers.choose("cuda")
    assert "onnxruntime-gpu" in (caught.value.remedy or "")
    assert providers.choose("auto") == ("cpu", "the installed ONNX Runtime is a build without CUDA")


@with_cuda
@pytest.mark.skipif(importlib.util.find_spec("tensorrt_libs") is not None, reason="TensorRT is installed")
def test_a_library_that_cannot_be_loaded_is_named():
    trouble, remedy = providers.missing_library("tensorrt")
    assert "nvinfer" in trouble
    assert "tensorrt" in remedy


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_libraries_come_out_of_wheels_in_silence(tmp_path, monkeypatch, capfd):
    import _ctypes  # a library that certainly loads, under TensorRT's name

    folder = tmp_path / "tensorrt_libs"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(_ctypes.__file__, folder / "libnvinfer.so.10")
    monkeypatch.syspath_prepend(tmp_path)
    providers.preload()
    assert str(folder / "libnvinfer.so.10") in Path("/proc/self/maps").read_text()
    assert capfd.readouterr().out == ""


def test_tensorrt_goes_before_cuda_and_cuda_before_the_cpu(tmp_path):
    assert providers.options("cpu", False, tmp_path / "engines") == ["CPUExecutionProvider"]
    (name, cuda), cpu = providers.options("cuda:3", True, tmp_path / "engines")
    assert (name, cuda["device_id"], cuda["use_tf32"], cpu) == (
        "CUDAExecutionProvider",
        "3",
        "0",
        "CPUExecutionProvider",
    )
    assert not (tmp_path / "engines").exists()
    (first, tensorrt), second, _ = providers.options("tensorrt:3", True, tmp_path / "engines")
    assert (first, second[0]) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert (tensorrt["device_id"], tensorrt["trt_fp16_enable"]) == ("3", "True")
    assert (tmp_path / "engines").is_dir()
