"""The pool that finishes photographs: processes where a CRF holds the interpreter's lock, else threads."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from stego_cli.errors import OutputError, PhotoError, StegoError
from stego_cli.images.journal import Entry
from stego_cli.inference.finish import Finished, Job, finish, ignore_signals
from stego_cli.progress import Progress

_QUEUE = 2  # jobs waiting a worker; more would only hold memory


class Workers:
    """Takes jobs, gives results, in any order; a context manager.

    A killed worker process breaks the whole pool. It is replaced, and what was in it is tried once more; a photograph
    at which a worker dies twice is given up.
    """

    def __init__(self, count: int, processes: bool, progress: Progress) -> None:
        self._count, self._processes, self._progress = count, processes, progress
        self._pool = self._open()
        self._pending: dict[Future[Finished], tuple[Job, int]] = {}

    def submit(self, job: Job) -> Iterator[Finished]:
        """Add a job; yield whatever is finished, waiting only while the queue is full."""
        self._add(job, tries=1)
        yield from self._collect(self._count * (1 + _QUEUE))

    def drain(self) -> Iterator[Finished]:
        """Yield the rest."""
        yield from self._collect(0)

    def _collect(self, allowed: int) -> Iterator[Finished]:
        while self._pending:
            timeout = None if len(self._pending) > allowed else 0
            done, _ = wait(self._pending, timeout=timeout, return_when=FIRST_COMPLETED)
            if not done:
                return
            for future in done:
                job, tries = self._pending.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    yield from self._retry(job, tries)
                else:
                    yield _outcome(future, job)

    def _retry(self, job: Job, tries: int) -> Iterator[Finished]:
        """Replace the broken pool and give it again all that was lost with it."""
        lost = [(job, tries), *self._pending.values()]
        self._pending.clear()
        self._pool.shutdown(wait=False)
        self._pool = self._open()
        self._progress.warn("A worker process died (out of memory?); its photographs are tried again.")
        for each, count in lost:
            if count < 2:
                self._add(each, count + 1)
            else:
                yield _failed(each, "a worker process died at it twice")

    def _add(self, job: Job, tries: int) -> None:
        try:
            self._pending[self._pool.submit(finish, job)] = (job, tries)
        except BrokenProcessPool:  # found out before the futures that were lost with it
            self._pool.shutdown(wait=False)
            self._pool = self._open()
            self._pending[self._pool.submit(finish, job)] = (job, tries)

    def _open(self) -> Executor:
        if not self._processes:
            return ThreadPoolExecutor(self._count)
        # Spawned, not forked: a fork would copy ONNX Runtime's locks in whatever state its threads hold them.
        return ProcessPoolExecutor(self._count, multiprocessing.get_context("spawn"), ignore_signals)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _outcome(future: Future[Finished], job: Job) -> Finished:
    try:
        return future.result()
    except OutputError:
        raise  # every further photograph would meet the same
    except (PhotoError, ValueError, MemoryError) as error:
        return _failed(job, error.message if isinstance(error, StegoError) else str(error) or type(error).__name__)


def _failed(job: Job, reason: str) -> Finished:
    return Finished(Entry(job.photo.path, "failed", *job.stat, error=reason), {})
