"""What the CUDA driver offers to this process, without loading torch or any CUDA library."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


@dataclass(frozen=True)
class Gpu:
    """One GPU: its name, and its memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Driver:
    """The NVIDIA driver.

    Attributes:
        gpus: in the driver's order; CUDA_VISIBLE_DEVICES hides GPUs here as it does from CUDA itself.
        version: the CUDA version that it supports, such as (12, 8).
        trouble: its message if it does not start, else empty.
    """

    gpus: tuple[Gpu, ...]
    version: tuple[int, int]
    trouble: str = ""


def find_driver() -> Driver | None:
    """Return the driver, or None if there is none that can be loaded."""
    library = load_library()
    if library is None:
        return None
    count, version, text = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_char_p()
    code = library.cuInit(0) or library.cuDeviceGetCount(ctypes.byref(count))
    library.cuDriverGetVersion(ctypes.byref(version))
    cuda = version.value // 1000, version.value % 1000 // 10
    if code in (0, _NO_DEVICE):
        return Driver(tuple(_gpu(library, number) for number in range(0 if code else count.value)), cuda)
    library.cuGetErrorString(code, ctypes.byref(text))
    return Driver((), cuda, (text.value or b"error %d" % code).decode())


def load_library() -> ctypes.CDLL | None:
    """Return the driver's library, or None."""
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None


def _gpu(library: ctypes.CDLL, number: int) -> Gpu:
    device, name, memory = ctypes.c_int(0), ctypes.create_string_buffer(256), ctypes.c_size_t(0)
    library.cuDeviceGet(ctypes.byref(device), number)
    library.cuDeviceGetName(name, len(name), device)
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(errors="replace"), memory.value)
