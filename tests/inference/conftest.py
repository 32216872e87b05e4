"""A CUDA driver of any kind, on a machine with none."""

from __future__ import annotations

import pytest

from stego_cli.inference.devices import driver as devices_driver


class CudaLibrary:
    """As much of libcuda as is asked: what cuInit answers, how many GPUs, and its version."""

    def __init__(self, code=0, gpus=1, version=99000):
        self.code, self.gpus, self.version = code, gpus, version

    def cuInit(self, flags):  # noqa: N802  (the library's names, here and below)
        return self.code

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.gpus
        return 0

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = self.version
        return 0

    def cuGetErrorString(self, code, text):  # noqa: N802
        text._obj.value = b"system not yet initialized"
        return 0

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = 40 + number

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = f"Card {device.value}".encode()

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        memory._obj.value = device.value << 30


@pytest.fixture
def driver(monkeypatch):
    """`driver(gpus=2)`: the driver that this machine is to have."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def install(present=True, **about):
        monkeypatch.setattr(devices_driver, "load_library", lambda: CudaLibrary(**about) if present else None)

    return install
