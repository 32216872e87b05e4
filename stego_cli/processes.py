"""Worker processes: a pool of them that cannot hang, outlive the run, or take the terminal's Ctrl-C for themselves."""

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
    """A process that a broken pool can end: workers ignore SIGTERM, and the pool would wait for them for ever."""

    def terminate(self) -> None:
        """Kill the process."""
        self.kill()


class _Spawning(SpawnContext):
    """Spawns, and does not fork: a fork would copy ONNX Runtime's locks in whatever state its threads hold them."""

    Process = _Worker


class _Pool(ProcessPoolExecutor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401
        with _signals_held_back():  # processes are started as work comes in
            return super().submit(fn, *args, **kwargs)


def process_pool(
    count: int, begin: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """Return a pool of `count` processes; each calls `begin_worker`, or `begin` in its place, when it starts."""
    return _Pool(count, _Spawning(), begin or begin_worker, arguments)


@contextlib.contextmanager
def thread_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of threads; its end waits for them, except at a second Ctrl-C, which waits for nothing."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=not isinstance(sys.exception(), KeyboardInterrupt), cancel_futures=True)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Start processes that a terminal's Ctrl-C, which reaches the whole group, cannot end before they ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """Leave signals to the main process, which finishes work in flight, and live no longer than it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """End this process when its parent is gone: a killed run must not write into a folder it no longer holds."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
