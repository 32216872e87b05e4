import ctypes

import pytest

from stego_cli.inference.gpus import Gpu, find_gpus


class Driver:
    """A CUDA driver with two cards, or one that does not start."""

    def __init__(self, code=0, count=2):
        self.code, self.count = code, count

    def cuInit(self, flags):  # noqa: N802  (the driver's own name, as below)
        return self.code

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = self.count

    def cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = 12080

    def cuDeviceGet(self, device, number):  # noqa: N802
        device._obj.value = 40 + number

    def cuDeviceGetName(self, name, length, device):  # noqa: N802
        name.value = f"Card {device.value}".encode()

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        memory._obj.value = device.value << 30


def test_every_card_has_its_name_and_memory(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver())
    assert find_gpus() == ([Gpu("Card 40", 40 << 30), Gpu("Card 41", 41 << 30)], "driver for CUDA 12.8")


def no_driver(name):
    raise OSError(name)


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (no_driver, "no NVIDIA driver"),
        (lambda name: Driver(code=100), "no NVIDIA GPU visible"),
        (lambda name: Driver(count=0), "no NVIDIA GPU visible"),
        (lambda name: Driver(code=803), "the NVIDIA driver does not start (error 803)"),
    ],
)
def test_without_a_usable_card_the_reason_is_told(monkeypatch, load, reason):
    monkeypatch.setattr(ctypes, "CDLL", load)
    assert find_gpus() == ([], reason)
