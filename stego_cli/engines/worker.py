"""What an engine is given: work that can be sent to other machines, and a worker of this process that does it too."""

from __future__ import annotations

import itertools
import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from stego_cli.errors import OutputError
from stego_cli.images.atomic import require_writable
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry, Journal
from stego_cli.inference.loaded import LoadedModel, load_model
from stego_cli.inference.output_folder import WORKERS
from stego_cli.inference.outputs import Outcome, OutputPlan
from stego_cli.inference.pipeline import Pipeline
from stego_cli.progress import Progress, Quiet
from stego_cli.reading import Reading
from stego_cli.settings import SegmentSettings

Stopped = Callable[[], bool]
DIED = "worker processes died at it"  # why an item failed that no worker could do


class Named(Protocol):
    """What a worker gets one of for each photograph: it has a path, by which its outcome is known."""

    @property
    def path(self) -> str:
        """Relative to the input folder."""


Item = TypeVar("Item", bound=Named)
Taken = TypeVar("Taken", bound=Named, contravariant=True)


class Worker(Protocol[Taken]):
    """Makes masks with a model that is loaded."""

    def do(self, items: Iterable[Taken], stopped: Stopped) -> Iterator[Outcome]:
        """Yield the outcome of every item, in any order; once `stopped`, begin no more.

        Raises:
            OutputError: nothing can be written.
        """


class Task(Protocol[Taken]):
    """Work as it is sent to another machine; can be pickled."""

    def begin(self, model: Path, device: str, progress: Progress) -> Worker[Taken]:
        """Return a worker there.

        Args:
            model: the model file there.
            device: that of the worker, in place of the one in the settings.
            progress: gets notes.

        Raises:
            ModelError: the model cannot be used.
            UsageError: the device or the CRF engine cannot be used there.
            OutputError: its folder cannot be written.
        """

    def failed(self, item: Taken, reason: str) -> Outcome:
        """Return the outcome of an item that no worker could do."""


class Machines(Protocol):
    """What an engine asks of the settings of a run."""

    @property
    def device(self) -> str:
        """Of each worker: auto, cpu, cuda ..."""

    @property
    def workers(self) -> int | None:
        """Cores of each worker; None: as many as there are."""

    @property
    def processes(self) -> int:
        """Of this machine that share the work."""

    @property
    def ray_address(self) -> str | None:
        """Of a Ray cluster; None: RAY_ADDRESS, else one that is started on this machine."""


@dataclass(frozen=True)
class Work(Generic[Item]):
    """A run's work.

    Attributes:
        here: does it in this process.
        task: does it elsewhere.
        model: the model file.
        devices: on which it was loaded here.
        settings: of the run.
        progress: gets notes and warnings.
        piece: most items that a worker elsewhere is given at once; 0: as many as suit photographs and masks.
    """

    here: Worker[Item]
    task: Task[Item]
    model: Path
    devices: tuple[str, ...]
    settings: Machines
    progress: Progress
    piece: int = 0


@dataclass(frozen=True)
class FolderTask:
    """Masks of photographs in a folder that all machines see, such as a network mount.

    Attributes:
        settings: of the run.
        reading: as it was decided for all photographs.
        plan: what is written, and where; the refiner is the worker's own.
    """

    settings: SegmentSettings
    reading: Reading
    plan: OutputPlan

    def begin(self, model: Path, device: str, progress: Progress) -> FolderWorker:
        """Return a worker with a journal of its own, which is kept if the run that sent it is killed."""
        plan = self.plan
        if not plan.root.is_dir() or not plan.scratch.is_dir():
            raise OutputError(
                f"{socket.gethostname()} does not see {plan.out}, or not {plan.root}.",
                "All machines of a cluster need both at the same place, or at addresses such as s3://bucket/folder.",
            )
        folder = plan.scratch / WORKERS / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        require_writable(folder)
        loaded = load_model(model, replace(self.settings, device=device), self.reading, progress)
        plan = replace(plan, scratch=folder, refiner=loaded.recipe.refiner)
        return FolderWorker(loaded, plan, progress, Journal(folder / "journal.jsonl"))

    def failed(self, item: Photo, reason: str) -> Outcome:
        """Return the outcome of a photograph at which workers died."""
        return Outcome(Entry(item.path, "failed", error=reason), {})


class FolderWorker:
    """Does photographs of a folder, in the order in which they are finished.

    Args:
        model: loaded.
        plan: what is written, and where.
        progress: gets notes.
        journal: gets every outcome; None: whoever takes the outcomes keeps a journal.
    """

    def __init__(
        self, model: LoadedModel, plan: OutputPlan, progress: Progress, journal: Journal | None = None
    ) -> None:
        self._pipeline, self._journal = Pipeline(model, plan, progress), journal

    def do(self, items: Iterable[Photo], stopped: Stopped) -> Iterator[Outcome]:
        """Yield the outcome of every photograph."""
        for outcome in self._pipeline.masks(items, stopped):
            if self._journal is not None:
                self._journal.append(outcome.entry)
            yield outcome


class Notes(Quiet):
    """Keeps the warnings of a worker elsewhere until its next answer."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self._texts.append(text)

    def taken(self) -> list[str]:
        """Return what was kept, and forget it."""
        texts, self._texts = self._texts, []
        return texts


def unless_empty(items: Iterable[Item]) -> Iterator[Item] | None:
    """Return the items; None if there are none, for which nothing has to be started."""
    stream = iter(items)
    first = list(itertools.islice(stream, 1))
    return itertools.chain(first, stream) if first else None


class Engine(Protocol):
    """A module that does work; `table.ENGINES` has their names."""

    def masks(self, work: Work[Any], items: Iterable[Any], stopped: Stopped) -> Iterator[Outcome]:
        """Yield the outcome of every item, in any order; once `stopped`, begin no more and yield what was begun.

        Raises:
            UsageError: the engine cannot be used with these settings.
            OutputError: nothing can be written.
        """
