"""What a session runs on: the words for a device, ONNX Runtime's execution providers, and what one of them is missing.

Nothing here loads torch. CUDA's libraries come out of the installed nvidia wheels, which torch uses as well; TensorRT's
out of its own wheel. Neither needs an LD_LIBRARY_PATH.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import io
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from stego_cli.errors import UsageError, setting
from stego_cli.inference.devices.driver import find_driver

PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
CPU = "CPUExecutionProvider"
_INSTALL = {
    "cuda": "`pip install 'onnxruntime-gpu[cuda,cudnn]'` brings CUDA's libraries",
    "tensorrt": "`pip install tensorrt` brings TensorRT's libraries, for the version that ONNX Runtime asks for",
}
_LIBRARIES = ("nvidia-cublas", "nvidia-cuda-runtime", "nvidia-cudnn", "nvidia-curand", "tensorrt-cu", "tensorrt")
# Prints the loader's error for one of ONNX Runtime's own libraries. It runs in a process of its own, since a library
# that is loaded before ONNX Runtime loads it cannot be used.
_PROBE = """
import ctypes, sys
from pathlib import Path
import onnxruntime
from stego_cli.inference.devices.providers import preload

preload()
folder, ending = Path(onnxruntime.__file__).parent / "capi", "dll" if sys.platform == "win32" else "so"
prefix = "" if sys.platform == "win32" else "lib"
ctypes.CDLL(str(folder / f"{prefix}onnxruntime_providers_shared.{ending}"), ctypes.RTLD_GLOBAL)
try:
    ctypes.CDLL(str(folder / f"{prefix}onnxruntime_providers_{sys.argv[1]}.{ending}"))
except OSError as error:
    print(error)
"""


def parse_devices(device: str) -> list[str]:
    """Return the devices that a setting names, one for each session: "cuda:0,1" gives "cuda:0" and "cuda:1".

    Args:
        device: auto, cpu, cuda, cuda:N, cuda:N,M or the same with tensorrt.

    Returns:
        "auto", "cpu", or "cuda:N" and "tensorrt:N"; whether they can be used is not looked at.

    Raises:
        UsageError: it is none of these.
    """
    if device in ("auto", "cpu"):
        return [device]
    kind, colon, numbers = device.partition(":")
    listed = numbers.split(",") if colon else ["0"]
    if kind not in PROVIDERS or not all(number.isascii() and number.isdecimal() for number in listed):
        raise UsageError(f"must be auto, cpu, cuda, cuda:N, cuda:0,1 or tensorrt:N, got {device!r}", field="device")
    devices = [f"{kind}:{int(number)}" for number in listed]
    if len(set(devices)) < len(devices):
        raise UsageError(f"{device} names a GPU twice", field="device")
    return devices


def choose(device: str) -> tuple[str, str]:
    """Return the one device that a session runs on, and why; for "auto" the first GPU if one can be used.

    Raises:
        UsageError: it cannot be used, with what is missing, or it is several.
    """
    devices = parse_devices(device)
    if len(devices) > 1:
        raise UsageError(f"{device} names {len(devices)} GPUs; a model here runs on one of them", field="device")
    if device == "auto":
        missing = _missing("cuda", 0)
        return ("cpu", missing[0]) if missing else ("cuda:0", "a GPU was found")
    if device != "cpu":
        kind, _, number = devices[0].partition(":")
        missing = _missing(kind, int(number))
        if missing:
            raise UsageError(
                f"{setting('device', device)}: {missing[0]}.", f"{missing[1]}, or give {setting('device', 'cpu')}."
            )
    return devices[0], "asked for"


def options(device: str, half: bool, cache: Path) -> list[Any]:
    """Return ONNX Runtime's list of providers for a device, the first choice first.

    Args:
        device: "cpu", "cuda:N" or "tensorrt:N".
        half: whether the model computes in float16.
        cache: where TensorRT keeps the engines that it has built; made if it is to be used.
    """
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return [CPU]
    # Full float32 (TF32 would round factors to 11 bits) and one fixed choice of algorithms, so that results are the
    # same in every run. Memory grows by what is requested, not by doubling: torch uses the same GPU.
    cuda = {
        "device_id": number,
        "use_tf32": "0",
        "cudnn_conv_algo_search": "DEFAULT",
        "arena_extend_strategy": "kSameAsRequested",
    }
    chain = [(PROVIDERS["cuda"], cuda), CPU]
    if kind == "tensorrt":
        cache.mkdir(parents=True, exist_ok=True)
        tensorrt = {
            "device_id": number,
            "trt_fp16_enable": str(half),
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(cache),
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": str(cache),
        }
        chain.insert(0, (PROVIDERS["tensorrt"], tensorrt))
    return chain


def preload() -> None:
    """Load the libraries of CUDA and TensorRT out of the installed wheels, where ONNX Runtime then finds them."""
    import onnxruntime as ort

    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what is missing; see missing_library
            ort.preload_dlls()
    spec = importlib.util.find_spec("tensorrt_libs")
    for folder in spec.submodule_search_locations or () if spec else ():
        for name in ("nvinfer.so", "nvinfer_plugin.so", "nvonnxparser.so", "nvinfer_1", "nvonnxparser_1"):
            for file in sorted(Path(folder).glob(f"*{name}*")):
                with contextlib.suppress(OSError):
                    ctypes.CDLL(str(file))


def missing_library(kind: str) -> tuple[str, str] | None:
    """Return which library ONNX Runtime lacks for CUDA or TensorRT, as the loader reports it, and a remedy.

    None if all of them load. Starts a process, for half a second.
    """
    command = [sys.executable, "-c", _PROBE, kind]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.run(command, capture_output=True, text=True, env=environment).stdout.strip()
    if not said:
        return None
    found = {dist.metadata["Name"]: dist.version for dist in distributions()}
    libraries = [f"{name} {version}" for name, version in sorted(found.items()) if name.startswith(_LIBRARIES)]
    built = f"ONNX Runtime {_runtime_version()} is built for CUDA {_cuda_version()}"
    return (
        f"a library is missing or of another version: {said} ({built}; installed: {', '.join(libraries) or 'none'})",
        _INSTALL[kind],
    )


def _missing(kind: str, number: int) -> tuple[str, str] | None:
    """Return why a GPU cannot be used, with a remedy, as far as can be found out before a model is loaded."""
    import onnxruntime as ort

    if PROVIDERS[kind] not in ort.get_available_providers():
        name = "CUDA" if kind == "cuda" else "TensorRT"
        both = "`pip uninstall onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'`"
        return f"the installed ONNX Runtime is a build without {name}", both
    driver = find_driver()
    if driver is None:
        return "there is no NVIDIA driver (libcuda cannot be loaded)", "Install NVIDIA's driver"
    count, visible = len(driver.gpus), os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    if driver.trouble:
        return f"the NVIDIA driver reports: {driver.trouble}{hidden}", "Check `nvidia-smi`"
    if count == 0:
        return f"no GPU is visible{hidden}", "Check `nvidia-smi`"
    if number >= count:
        only = "only GPU 0 is" if count == 1 else f"only GPUs 0 to {count - 1} are"
        return f"{only} visible{hidden}", "Give one of them"
    if _cuda_version() and driver.version[0] < int(_cuda_version().split(".")[0]):
        return (
            f"the NVIDIA driver supports CUDA {driver.version[0]}.{driver.version[1]}, "
            f"ONNX Runtime {_runtime_version()} is built for CUDA {_cuda_version()}",
            "Update the driver, or install an ONNX Runtime for that CUDA",
        )
    return None


def _cuda_version() -> str:
    import onnxruntime as ort

    return getattr(ort, "cuda_version", None) or ""


def _runtime_version() -> str:
    import onnxruntime as ort

    return str(ort.__version__)
