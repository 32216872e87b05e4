"""The pool of processes that finishes photographs where a CRF engine holds the GIL."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from stego_cli.errors import PhotoError
from stego_cli.inference.outputs import Inferred, Outcome, OutputPlan, failed, reason_of, write_inferred
from stego_cli.processes import process_pool
from stego_cli.progress import Progress

_QUEUE = 2  # jobs that wait, for each worker; more would only take memory


class Workers:
    """Takes jobs and yields their outcomes, in any order; a context manager.

    A killed worker process breaks the whole pool. The pool is replaced, and its photographs are tried once more, one
    after the other: that needs the least memory, and shows at which of them a worker dies.
    """

    def __init__(self, count: int, plan: OutputPlan, progress: Progress) -> None:
        self._count, self._plan, self._progress = count, plan, progress
        self._pool = process_pool(count)
        self._pending: dict[Future[Outcome], Inferred] = {}

    def submit(self, job: Inferred) -> Iterator[Outcome]:
        """Add a job; yield whatever is finished, waiting only while the queue is full."""
        self._pending[self._start(job)] = job
        yield from self._collect(self._count * (1 + _QUEUE))

    def drain(self) -> Iterator[Outcome]:
        """Yield the rest."""
        yield from self._collect(0)

    def _collect(self, allowed: int) -> Iterator[Outcome]:
        while self._pending:
            timeout = None if len(self._pending) > allowed else 0
            done, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
            if not done:
                return
            broken = any(isinstance(future.exception(), BrokenProcessPool) for future in done)
            if broken:
                done, _ = wait(self._pending)  # a broken pool ends all its futures
            lost = []
            for future in done:
                job = self._pending.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    lost.append(job)
                else:
                    yield _outcome(future, job)
            if broken:
                yield from self._retry(lost)

    def _retry(self, lost: list[Inferred]) -> Iterator[Outcome]:
        """Replace the broken pool and give it again all that was lost with it."""
        self._progress.warn("A worker process died (out of memory?); its photographs are tried again.")
        self._replace_pool()
        for job in lost:
            future = self._start(job)
            if isinstance(future.exception(), BrokenProcessPool):
                self._replace_pool()
                yield failed(job.photo, job.stat, "a worker process died at it twice", job.seconds)
            else:
                yield _outcome(future, job)

    def _start(self, job: Inferred) -> Future[Outcome]:
        try:
            return self._pool.submit(write_inferred, job, self._plan)
        except BrokenProcessPool as error:  # noticed here before the lost futures report it
            future: Future[Outcome] = Future()
            future.set_exception(error)
            return future

    def _replace_pool(self) -> None:
        self._pool.shutdown(wait=False)
        self._pool = process_pool(self._count)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        at_once = kind is not None and issubclass(kind, KeyboardInterrupt)  # a second Ctrl-C: wait for nothing
        if at_once:
            for process in multiprocessing.active_children():
                process.kill()
        self._pool.shutdown(wait=not at_once, cancel_futures=True)


def _outcome(future: Future[Outcome], job: Inferred) -> Outcome:
    try:
        return future.result()
    except (PhotoError, ValueError, MemoryError) as error:  # any other OutputError would hit every photograph
        return failed(job.photo, job.stat, reason_of(error), job.seconds)
