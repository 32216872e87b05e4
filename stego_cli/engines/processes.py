"""Several processes of this machine, each with its share of the cores, or with one of the GPUs.

Python's lock lets one thread of a process run at a time. What photographs need outside of compiled code is little, but
a GPU or dozens of cores wait for it. Each process has the whole way from photographs to masks; the journal of the run
is written by the process that started them.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from stego_cli.engines.worker import DIED, Notes, Stopped, Task, Work, Worker, unless_empty
from stego_cli.errors import UsageError
from stego_cli.inference.loaded import lanes_for
from stego_cli.inference.outputs import Outcome
from stego_cli.machine import use_cores
from stego_cli.processes import begin_worker, process_pool

_PIECE, _PIECE_ON_GPU = 4, 128  # items that a process gets at once
_AHEAD = 2  # pieces that a process has, so that it does not wait for the next one
_DEATHS = 5  # of processes in a row, after which the run is given up: one photograph accounts for two
_GLANCE = 0.2  # seconds between two looks at whether to stop


@dataclass(frozen=True)
class _Given:
    """What a process needs for its work."""

    task: Task[Any]
    model: Path
    device: str
    cores: int
    stop: Event  # set when nothing more is to be begun


@dataclass(frozen=True)
class _Done:
    """What a process did of a piece, and its warnings."""

    outcomes: list[Outcome]
    notes: list[str]


@dataclass(frozen=True)
class _Piece:
    """Items for one process; `alone`: one item of a piece at which a process died."""

    items: list[Any]
    alone: bool = False


def masks(work: Work[Any], items: Iterable[Any], stopped: Stopped) -> Iterator[Outcome]:
    """Yield the outcome of every item.

    Raises:
        UsageError: processes die before they have done anything.
    """
    stream = unless_empty(items)
    if stream is not None:
        with _Run(work) as run:
            yield from run.outcomes(stream, stopped)


class _Run:
    """The processes of one run, each a pool of its own: one that dies takes no other with it."""

    def __init__(self, work: Work[Any]) -> None:
        count, devices = work.settings.processes, work.devices
        self._work = work
        self._stop = multiprocessing.get_context("spawn").Event()
        share = max(1, lanes_for(work.settings.workers) // count)
        self._given = [
            _Given(work.task, work.model, devices[index % len(devices)], share, self._stop) for index in range(count)
        ]
        self._pools = [_pool(given) for given in self._given]
        self._busy: dict[Future[_Done], tuple[int, ProcessPoolExecutor, _Piece]] = {}
        self._again: deque[_Piece] = deque()
        self._deaths = 0
        self._size = _PIECE * share if devices[0] == "cpu" else _PIECE_ON_GPU

    def outcomes(self, items: Iterator[Any], stopped: Stopped) -> Iterator[Outcome]:
        """Yield the outcome of every item; once stopped, of those that were begun."""
        while True:
            if stopped():
                self._stop.set()
                self._again.clear()
                items = iter(())
            self._hand_out(items)
            if not self._busy:
                return
            done, _ = wait(self._busy, _GLANCE, FIRST_COMPLETED)
            for future in done:
                yield from self._taken(future)

    def _hand_out(self, items: Iterator[Any]) -> None:
        """Give every process pieces."""
        for index, pool in enumerate(self._pools):
            while self._has_room(index):
                piece = self._again.popleft() if self._again else _Piece(list(itertools.islice(items, self._size)))
                if not piece.items:
                    return
                self._busy[_submitted(pool, piece.items)] = index, pool, piece

    def _has_room(self, index: int) -> bool:
        """Return whether a process is to get another piece; beside one that is tried alone it has none."""
        mine = [piece for owner, _, piece in self._busy.values() if owner == index]
        return not mine or (len(mine) < _AHEAD and not self._again and not mine[0].alone)

    def _taken(self, future: Future[_Done]) -> Iterator[Outcome]:
        index, pool, piece = self._busy.pop(future)
        if not isinstance(future.exception(), BrokenProcessPool):
            done = future.result()  # an error of this tool that ends the run is raised here
            self._deaths = 0
            for note in done.notes:
                self._work.progress.warn(note)
            yield from done.outcomes
            return
        if pool is self._pools[index]:  # else another piece of the same process has told already
            self._deaths += 1
            pool.shutdown(wait=False)
            self._pools[index] = _pool(self._given[index])
        if self._deaths == _DEATHS:
            raise UsageError(
                "worker processes die at once; is there memory for so many?", "Give fewer.", field="processes"
            )
        if piece.alone:
            yield self._work.task.failed(piece.items[0], DIED)
        else:
            self._work.progress.warn("A worker process died (out of memory?); its photographs are tried again.")
            self._again.extend(_Piece([item], alone=True) for item in piece.items)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._stop.set()
        at_once = kind is not None and issubclass(kind, KeyboardInterrupt)  # a second Ctrl-C: wait for nothing
        if at_once:
            for process in multiprocessing.active_children():
                process.kill()
        for pool in self._pools:
            pool.shutdown(wait=not at_once, cancel_futures=True)


def _pool(given: _Given) -> ProcessPoolExecutor:
    return process_pool(1, _begin, (given,))


def _submitted(pool: ProcessPoolExecutor, items: list[Any]) -> Future[_Done]:
    try:
        return pool.submit(_do, items)
    except BrokenProcessPool as error:  # noticed here before its futures report it
        future: Future[_Done] = Future()
        future.set_exception(error)
        return future


# What follows runs in the processes.

_mine: tuple[_Given, Notes, list[Worker[Any]]] | None = None


def _begin(given: _Given) -> None:
    global _mine
    begin_worker()
    use_cores(given.cores)
    _mine = given, Notes(), []


def _do(items: list[Any]) -> _Done:
    assert _mine is not None  # the pool has called _begin
    given, notes, workers = _mine
    if not workers:  # here and not in _begin: an error there would reach nobody
        workers.append(given.task.begin(given.model, given.device, notes))
    outcomes = list(workers[0].do(items, given.stop.is_set))
    return _Done(outcomes, notes.taken())
