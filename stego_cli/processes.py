"""Pools of worker processes and threads. Workers do not hang or outlive the run, and ignore the terminal's Ctrl-C."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any


class _Worker(SpawnProcess):
    """A process that a broken pool can end: workers ignore SIGTERM, for which the pool would wait for ever."""

    def terminate(self) -> None:
        """Kill the process."""
        self.kill()


class _Spawning(SpawnContext):
    """Spawns processes: a fork would copy ONNX Runtime's locks while its threads hold them."""

    Process = _Worker


class _Pool(ProcessPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        with _signals_blocked():  # submitting work starts processes
            return super().submit(fn, *args, **kwargs)


def process_pool(
    count: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """Return a pool of `count` processes; each calls `begin(*arguments)` first, or `begin_worker()` if it is None."""
    return _Pool(count, _Spawning(), begin or begin_worker, arguments)


@contextlib.contextmanager
def thread_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads, and wait for them at its end, except after a second Ctrl-C."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=not isinstance(sys.exception(), KeyboardInterrupt), cancel_futures=True)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals while processes start: a terminal's Ctrl-C reaches them before they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """Ignore signals, since the main process finishes the work in flight, and end when the main process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent has ended: a killed run must not write into a folder it has no lock on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
