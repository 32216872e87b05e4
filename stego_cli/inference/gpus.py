"""The GPUs that the CUDA driver offers to this process, asked without loading torch or any CUDA library."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, and its memory in bytes."""

    name: str
    memory: int


def find_gpus() -> tuple[list[Gpu], str]:
    """Return the NVIDIA GPUs in the driver's order, and the driver's CUDA version or, without a GPU, why there is none.

    CUDA_VISIBLE_DEVICES hides GPUs here as it does from CUDA itself.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver"
    if code := driver.cuInit(0):
        return [], "no NVIDIA GPU visible" if code == 100 else f"the NVIDIA driver does not start (error {code})"
    count, version = ctypes.c_int(0), ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    driver.cuDriverGetVersion(ctypes.byref(version))
    if not count.value:
        return [], "no NVIDIA GPU visible"
    about = f"driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    return [_gpu(driver, number) for number in range(count.value)], about


def _gpu(driver: ctypes.CDLL, number: int) -> Gpu:
    device, name, memory = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(errors="replace"), memory.value)
