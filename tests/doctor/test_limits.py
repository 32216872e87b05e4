import pytest

from stego_cli.doctor import limits
from stego_cli.doctor.findings import Finding
from stego_cli.doctor.limits import limit
from stego_cli.doctor.self_test import CRF_PIXELS, WORK_PIXELS

SCALE = WORK_PIXELS / CRF_PIXELS


def findings(device, crf, **times):
    parts = {"decode": 5.0, "speed": 100.0, "mask": 2.0, "CRF": crf, **times}
    return [
        Finding("self-test", name, "", figures={"milliseconds": took, "device": device}) for name, took in parts.items()
    ]


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(limits, "cores", lambda: 4)


def test_on_a_cpu_the_steps_add_up_and_the_longest_limits():
    found = limit(findings("cpu", {"cpu": 200 / SCALE, "torch": 900.0}))
    assert found.figures["limit"] == "network"
    assert found.figures["rates"] == pytest.approx({"decode": 800, "network": 10, "CRF": 20, "encode": 2000})
    assert found.figures["together"] == pytest.approx(1 / (1 / 800 + 1 / 10 + 1 / 20 + 1 / 2000))
    assert found.text.startswith("network; photographs/s by step: decode 800, network 10, CRF 20, encode 2000")


def test_with_a_gpu_the_slowest_step_limits():
    found = limit(findings("cuda:0", {"cuda": 2 / SCALE, "cpu": 200 / SCALE}, speed=0.5))
    assert found.figures["limit"] == "CRF"
    assert found.figures["together"] == pytest.approx(500)
    assert limit(findings("cuda:0", {"cuda": 0.1 / SCALE}, speed=0.5)).figures["limit"] == "decode"


def test_without_all_times_nothing_is_said():
    assert limit(findings("cpu", {"cpu": 9.0})[:3]) is None
    assert limit(findings("cpu", {"pydensecrf": 9.0})) is None
