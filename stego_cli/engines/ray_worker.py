"""What runs on the machines of a Ray cluster: actors that do pieces of the work, and one that knows how it stands."""

from __future__ import annotations

import pickle
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stego_cli.engines.worker import Notes, Task, Worker
from stego_cli.errors import OutputError, StegoError
from stego_cli.inference.outputs import Outcome
from stego_cli.machine import use_cores

_TRIES = 2  # of a piece: a worker that dies at it again is not given it a third time
_GLANCE = 0.5  # seconds between two looks at whether the run was stopped


@dataclass(frozen=True)
class Piece:
    """Items that one worker does: `key` is its number in the run."""

    key: int
    items: list[Any]


@dataclass(frozen=True)
class Answer:
    """What became of a piece.

    Attributes:
        key: of the piece.
        node: Ray's name of the machine that did it.
        outcomes: of its items; fewer than the items where the run was stopped.
        lost: workers died at it; it has no outcomes.
        error: ended the worker's work.
        notes: warnings and notes for the user.
    """

    key: int
    node: str
    outcomes: list[Outcome] = field(default_factory=list)
    lost: bool = False
    error: StegoError | None = None
    notes: list[str] = field(default_factory=list)


class Standing:
    """How often each piece was begun, which are worked on, and whether the run was stopped; an actor of its own."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}  # pieces without an answer
        self._working: set[int] = set()
        self._stopped = False

    def begin(self, key: int) -> int:
        """Return how often a piece was begun, this time included; 0: begin nothing, the run was stopped."""
        if self._stopped:
            return 0
        self._begun[key] = self._begun.get(key, 0) + 1
        self._working.add(key)
        return self._begun[key]

    def end(self, key: int) -> None:
        """Forget a piece that has its answer."""
        self._begun.pop(key, None)
        self._working.discard(key)

    def stop(self) -> None:
        """Let workers begin no more."""
        self._stopped = True

    def is_stopped(self) -> bool:
        """Return whether the run was stopped."""
        return self._stopped

    def working(self) -> int:
        """Return how many pieces are worked on."""
        return len(self._working)


class PieceWorker:
    """An actor of Ray Data: a row with a pickled `Piece` becomes a row with a pickled `Answer`.

    Args:
        task: pickled.
        model: reference to the content of the model file, so that the machines need not share it.
        device: of the worker.
        cores: of the CPU that it may use.
        standing: handle of the actor `Standing`.
    """

    def __init__(self, task: bytes, model: Any, device: str, cores: int, standing: Any) -> None:  # noqa: ANN401
        import ray

        self._get, self._standing, self._notes = ray.get, standing, Notes()
        self._node = ray.get_runtime_context().get_node_id()
        self._error: StegoError | None = None
        self._worker: Worker[Any] | None = None
        self._looked, self._stopped = 0.0, False
        use_cores(cores)
        work: Task[Any] = pickle.loads(task)
        try:
            with tempfile.TemporaryDirectory(prefix="stego-") as folder:
                file = Path(folder, "model.onnx")
                file.write_bytes(ray.get(model))
                self._worker = work.begin(file, device, self._notes)
        except StegoError as error:
            self._error = error
        except OSError as error:
            self._error = OutputError(f"A worker cannot keep the model in {tempfile.gettempdir()}: {error}.")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Do one piece."""
        piece: Piece = pickle.loads(row["piece"])
        tries = self._get(self._standing.begin.remote(piece.key))
        answer = Answer(piece.key, self._node, lost=tries > _TRIES, error=self._error)
        if tries and not answer.lost and self._worker is not None:
            try:
                outcomes = list(self._worker.do(piece.items, self._is_stopped))
                answer = Answer(piece.key, self._node, outcomes)
            except StegoError as error:
                answer = Answer(piece.key, self._node, error=error)
        answer.notes.extend(self._notes.taken())
        self._get(self._standing.end.remote(piece.key))
        return {"answer": pickle.dumps(answer)}

    def _is_stopped(self) -> bool:
        now = time.monotonic()
        if now - self._looked > _GLANCE:
            self._looked, self._stopped = now, self._get(self._standing.is_stopped.remote())
        return self._stopped
