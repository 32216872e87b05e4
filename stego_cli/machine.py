"""What this process may use of the machine."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """Return the number of cores given to this process: its affinity, and a container's quota where there is one."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = _CGROUP_LIMIT.read_text().split()
        if quota != "max":
            available = min(available, math.ceil(int(quota) / int(period)))
    return max(1, available)
