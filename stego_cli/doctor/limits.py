"""How many photographs a second each step of `stego segment` can do here, by the times of the self-test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stego_cli.doctor.findings import Finding
from stego_cli.doctor.self_test import CRF_PIXELS, WORK_PIXELS
from stego_cli.machine import cores

_NEEDED = ("decode", "speed", "CRF", "mask")


def limit(findings: Sequence[Finding]) -> Finding | None:
    """Return the rates and the step that limits a run, or None where a step was not timed.

    On a CPU the steps of a photograph share the cores, so the step that takes longest limits. With a GPU they run side
    by side, so the slowest does. Decoding, the native CRF and writing use all cores; the self-test times one of them.

    Args:
        findings: of the self-test.
    """
    figures = {each.name: each.figures for each in findings if each.group == "self-test" and each.status != "problem"}
    if not all("milliseconds" in figures.get(name, {}) for name in _NEEDED):
        return None
    times: dict[str, Any] = {name: figures[name]["milliseconds"] for name in _NEEDED}
    on_gpu = figures["speed"].get("device") != "cpu"
    engine = next((name for name in (("cuda",) if on_gpu else ()) + ("cpu", "torch") if name in times["CRF"]), None)
    if engine is None:
        return None
    of_crf = times["CRF"][engine] * WORK_PIXELS / CRF_PIXELS
    rates = {
        "decode": 1000 * cores() / times["decode"],
        "network": 1000 / times["speed"],
        "CRF": 1000 * (cores() if engine == "cpu" else 1) / of_crf,
        "encode": 1000 * cores() / times["mask"],
    }
    slowest = min(rates, key=lambda name: rates[name])
    whole = rates[slowest] if on_gpu else 1 / sum(1 / rate for rate in rates.values())
    listed = ", ".join(f"{name} {_short(rate)}" for name, rate in rates.items())
    text = f"{slowest}; photographs/s by step: {listed}; together about {_short(whole)}"
    return Finding("self-test", "limit", text, figures={"limit": slowest, "rates": rates, "together": whole})


def _short(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
