"""Work for an engine that ends the process which does some of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import ModelError
from stego_cli.images.journal import Entry
from stego_cli.inference.outputs import Outcome
from stego_cli.progress import Progress


@dataclass(frozen=True)
class Item:
    """Named "deadly", it ends every process that does it."""

    path: str


class DeadlyWorker:
    """Says which process did an item, as its mask."""

    def do(self, items: Iterable[Item], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        for item in items:
            if item.path == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            yield Outcome(Entry(item.path, "done", mask=str(os.getpid())), {})


@dataclass(frozen=True)
class DeadlyTask:
    """`refused`: of the model, by every process."""

    refused: bool = False

    def begin(self, model: Path, device: str, progress: Progress) -> DeadlyWorker:
        if self.refused:
            raise ModelError("It is not a model.", "Export it again.")
        progress.warn(f"on {device}")
        return DeadlyWorker()

    def failed(self, item: Item, reason: str) -> Outcome:
        return Outcome(Entry(item.path, "failed", error=reason), {})
