"""What this process may use of the machine."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

# A container's quota and period of CPU time in microseconds: in one file, or in the two of cgroup v1.
_CGROUP_CPU = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)
_CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def calm_threads() -> None:
    """Let idle OpenMP threads sleep instead of spinning; call before torch is imported.

    On a machine that does anything else beside, threads that spin at each barrier take the cores from those they wait
    for: a training step of 0.1 s takes a second. The user's own OMP_WAIT_POLICY is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def cores() -> int:
    """Return the number of cores given to this process: its affinity, and a container's quota where there is one."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in _CGROUP_CPU:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            quota, period = (int(value) for file in files for value in file.read_text().split())
            if quota > 0:  # -1 in v1: no limit
                available = min(available, math.ceil(quota / period))
    return max(1, available)


def memory() -> int | None:
    """Return the bytes of memory given to this process: the machine's, or a container's limit; None: unknown."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    for limit in _CGROUP_MEMORY:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            whole = min(whole, int(limit.read_text()))
    return whole
