"""The part of the machine that this process may use."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

# A container's quota and period of CPU time in microseconds: in one file, or in two of cgroup v1.
_CGROUP_CPU = (
    (Path("/sys/fs/cgroup/cpu.max"),),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)
_CGROUP_MEMORY = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def calm_threads() -> None:
    """Let idle OpenMP threads sleep instead of spinning; call before torch is imported.

    Where other programs run too, threads that spin at a barrier take the cores from the threads they wait for: a
    training step of 0.1 s then takes a second. An OMP_WAIT_POLICY of the user's is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_most = 0  # cores that this process uses at most; 0: all


def use_cores(count: int) -> None:
    """Let `cores` return at most `count` from now on, where several processes share a machine."""
    global _most
    _most = count


def cores(quotas: Sequence[Sequence[Path]] = _CGROUP_CPU) -> int:
    """Return the number of cores this process may use, by its affinity and a container's quota.

    Args:
        quotas: groups of files that may hold one.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in quotas:
        with contextlib.suppress(OSError, ValueError):  # "max" is not a number
            quota, period = (int(value) for file in files for value in file.read_text().split())
            if quota > 0:  # -1 in v1: no limit
                available = min(available, math.ceil(quota / period))
    return max(1, min(available, _most or available))


def memory(limits: Sequence[Path] = _CGROUP_MEMORY) -> int | None:
    """Return the bytes of memory this process may use, the machine's or a container's limit; None: unknown.

    Args:
        limits: files that may hold one.
    """
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # "max" is not a number
            whole = min(whole, int(limit.read_text()))
    return whole
