"""What /proc tells about processes that a test has started; Linux alone."""

from __future__ import annotations

import os
from pathlib import Path

PATIENCE = 600.0  # seconds after which a run that should have ended is taken for one that hangs, on a busy machine too
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def cpu_seconds(process: int) -> float:
    """Return the CPU time that a process and those of its children that have ended took: unlike the time on the wall,
    it does not grow with what else the machine does."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / _TICKS


def resident_mb(process: int) -> float:
    """Return a process's resident memory in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000
