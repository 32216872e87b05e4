"""The engine of one machine: all work is done by this process on all its cores and GPUs, or by several of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stego_cli.engines.worker import Stopped, Work
from stego_cli.inference.outputs import Outcome


def masks(work: Work[Any], items: Iterable[Any], stopped: Stopped) -> Iterator[Outcome]:
    """Yield the outcome of every item."""
    if work.settings.processes == 1:
        return work.here.do(items, stopped)
    from stego_cli.engines import processes

    return processes.masks(work, items, stopped)
