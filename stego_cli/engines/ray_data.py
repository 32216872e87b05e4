"""The engine of a cluster: Ray Data streams pieces of the work to model actors, one on each GPU or group of cores.

Ray starts actors again that died, gives their pieces to them or to others, and holds back pieces while all are busy.
What is left to this module: which pieces there are, that a photograph at which workers die ends as failed, and that one
that failed on a machine is tried on another.
"""

from __future__ import annotations

import itertools
import pickle
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from stego_cli.engines.ray_cluster import connected, room_for_workers
from stego_cli.engines.ray_worker import Answer, Piece, PieceWorker, Standing
from stego_cli.engines.worker import DIED, Stopped, Work, unless_empty
from stego_cli.inference.outputs import Outcome

if TYPE_CHECKING:
    import ray.data

_PIECES = 4096  # that Ray is given at once: the items of more are not in memory
_PIECE, _PIECE_ON_GPU = 128, 512  # items of a piece: work enough, so that a worker's idle cores at its end do not count
_PIECES_A_WORKER = 8  # at least, where there are few items, so that workers end at about the same time
_GLANCE = 0.2  # seconds between two looks at whether to stop
_PATIENCE = 60.0  # seconds that workers have after a stop to finish what they have begun
_STARTS = 3  # of each worker that may fail in a row before the run is given up


def masks(work: Work[Any], items: Iterable[Any], stopped: Stopped) -> Iterator[Outcome]:
    """Yield the outcome of every item, those that failed or were lost at the end."""
    stream = unless_empty(items)
    if stream is not None:
        with connected(work.settings.ray_address):
            yield from _Run(work, stopped).outcomes(stream)


class _Run:
    """One run on a cluster to which this process is connected."""

    def __init__(self, work: Work[Any], stopped: Stopped) -> None:
        import ray

        self._work, self._stopped, self._progress = work, stopped, work.progress
        self._workers = room_for_workers(work.settings.device, work.settings.workers, self._progress)
        self._standing = ray.remote(num_cpus=0, max_restarts=-1)(Standing).remote()
        self._model, self._task = ray.put(work.model.read_bytes()), pickle.dumps(work.task)
        self._keys = itertools.count()
        self._again: defaultdict[str, list[Any]] = defaultdict(list)  # by machine: items to be tried elsewhere
        self._failed: dict[str, Outcome] = {}  # of those, by path

    def outcomes(self, stream: Iterator[Any]) -> Iterator[Outcome]:
        """Yield the outcome of every item."""
        most = self._work.piece or (_PIECE_ON_GPU if self._workers.gpus else _PIECE)
        while not self._stopped() and (window := list(itertools.islice(stream, most * _PIECES))):
            size = max(1, min(most, len(window) // (_PIECES_A_WORKER * self._workers.count)))
            yield from self._first(self._pieces(window, size))
        for node, those in self._again.items():
            if not self._stopped():
                where = "on another machine" if node and self._workers.machines > 1 else "one by one"
                self._progress.note(f"Photographs that failed are tried again {where}: {len(those)}.")
                yield from self._second(self._pieces(those, 1), node)
            yield from (self._failed[item.path] for item in those if item.path in self._failed)

    def _pieces(self, items: Sequence[Any], size: int) -> list[Piece]:
        starts = range(0, len(items), size)
        return [Piece(next(self._keys), list(items[start : start + size])) for start in starts]

    def _first(self, pieces: list[Piece]) -> Iterator[Outcome]:
        """Yield what is done; keep for later what has failed and what workers died at."""
        of = {piece.key: piece for piece in pieces}
        for answer in self._answers(pieces, None):
            items = {item.path: item for item in of.pop(answer.key).items}
            if answer.lost:
                self._progress.warn("Worker processes died (out of memory?); their photographs are tried again later.")
                self._put_off(items, "", self._work.task.failed)
                continue
            for outcome in answer.outcomes:
                if outcome.entry.status == "done" or self._workers.machines == 1:
                    yield outcome
                else:
                    self._failed[outcome.entry.path] = outcome
                    self._again[answer.node].append(items[outcome.entry.path])

    def _put_off(self, items: dict[str, Any], node: str, failed: Any) -> None:  # noqa: ANN401
        for path, item in items.items():
            self._failed[path] = failed(item, DIED)
            self._again[node].append(item)

    def _second(self, pieces: list[Piece], node: str) -> Iterator[Outcome]:
        """Try what failed on a machine on another, if there is one."""
        for answer in self._answers(pieces, node):
            for outcome in answer.outcomes:
                self._failed.pop(outcome.entry.path)
                yield outcome

    def _answers(self, pieces: list[Piece], avoided: str | None) -> Iterator[Answer]:
        """Yield the answer of each piece, as they come."""
        import ray.data

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_consecutive_actor_init_deaths = _STARTS * self._workers.count
        elsewhere = bool(avoided) and self._workers.machines > 1
        count = 1 if avoided is not None else self._workers.count
        rows = ray.data.from_items(
            [{"piece": pickle.dumps(piece)} for piece in pieces], override_num_blocks=len(pieces)
        )
        answered = rows.map(
            PieceWorker,
            fn_constructor_args=(
                self._task, self._model, self._workers.device, self._workers.cores, self._standing,
            ),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
            num_cpus=self._workers.cores,
            num_gpus=self._workers.gpus or None,
            label_selector={"ray.io/node-id": f"!{avoided}"} if elsewhere else None,
        )  # fmt: skip
        for answer in self._as_they_come(answered):
            for note in answer.notes:
                self._progress.warn(note)
            if answer.error is not None:
                raise answer.error
            yield answer

    def _as_they_come(self, answered: ray.data.Dataset) -> Iterator[Answer]:
        """Yield answers; after a stop those of pieces that were begun."""
        import ray

        come: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(answered, come), name="answers", daemon=True).start()
        stopped_at = None
        while True:
            if stopped_at is None and self._stopped():
                stopped_at = time.monotonic()
                self._standing.stop.remote()
            try:
                answer = come.get(timeout=_GLANCE)
            except queue.Empty:
                if stopped_at is not None:
                    late = time.monotonic() - stopped_at > _PATIENCE
                    if late or not ray.get(self._standing.working.remote()):
                        return
                continue
            if answer is None:
                return
            if isinstance(answer, BaseException):
                raise answer
            yield answer


def _read(answered: ray.data.Dataset, come: queue.SimpleQueue[Answer | BaseException | None]) -> None:
    try:
        for row in answered.iter_rows():
            come.put(pickle.loads(row["answer"]))
        come.put(None)
    except BaseException as error:
        come.put(error)
