"""A tree of photographs to a tree of masks: decode, infer, refine, write, each stage ahead of the next.

Decoding runs in threads (Pillow lets go of the interpreter), inference in this thread (ONNX Runtime has its own),
refining and writing in worker processes. Every queue between them is bounded, so memory does not grow with the tree.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stego_cli.crf import ENGINES, choose_engine
from stego_cli.errors import PhotoError, Stopped
from stego_cli.images.atomic import sha256, shown
from stego_cli.images.decode import Decoded, decode
from stego_cli.images.discover import Found, Photo
from stego_cli.images.journal import Entry, Journal
from stego_cli.images.streams import by_shape, map_ahead
from stego_cli.inference.finish import Finished, Job, overlay_name
from stego_cli.inference.output import OutputFolder
from stego_cli.inference.session import LogProbs, Session
from stego_cli.inference.workers import Workers
from stego_cli.machine import cores
from stego_cli.progress import Progress, Stage
from stego_cli.settings import SegmentSettings
from stego_cli.stop import Stop

_GPU_BATCH = 16
# On the CPU a batch saves nothing, and one at a time makes a mask independent of what else is in the folder.
_CPU_BATCH = 1


@dataclass
class Summary:
    """What a run did.

    Attributes:
        photographs: found.
        done: masks written by this run; `kept`: masks that an earlier run had finished.
        failed: path and reason of each photograph or folder that has no mask.
        seconds: time by stage, summed over threads and processes; "total" is the wall clock.
        pixels: pixels by class over all masks of these photographs, earlier runs' included.
    """

    photographs: int
    done: int = 0
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    pixels: Counter[int] = field(default_factory=Counter)


def segment(
    found: Found, output: OutputFolder, session: Session, settings: SegmentSettings, progress: Progress, stop: Stop
) -> Summary:
    """Write a mask for every photograph that does not have one yet.

    Args:
        found: the photographs.
        output: the folder, held by the caller.
        session: the model.
        settings: see SegmentSettings.
        progress: shown a stage; gets an event for each photograph.
        stop: on a signal what is in flight is finished, then the run ends.

    Raises:
        UsageError: masks of a different model or other settings are there.
        OutputError: a mask cannot be written.
        Stopped: a signal came; everything finished is in the journal.
    """
    started = time.perf_counter()
    settings = replace(settings, res=settings.res or session.info.res)
    summary = Summary(len(found.photos), failed=[(shown(path), reason) for path, reason in found.unreadable])
    with output.open_journal(settings, sha256(settings.model)) as journal:
        todo = _todo(found, output, journal, settings, summary)
        if summary.kept:
            progress.note(f"{summary.kept} of {summary.photographs} photographs have their masks already.")
        with progress.stage("Segmenting", len(todo), unit="photographs") as stage:
            run, told = _Run(found.root, output, session, settings, progress, summary), False
            for finished in run.masks(todo, stop):
                if stop.requested is not None and not told:
                    progress.note("Stopping: what has begun is finished. Ctrl-C again ends at once.")
                    told = True
                journal.append(finished.entry)
                _count(finished, summary, progress, stage)
    summary.seconds["total"] = time.perf_counter() - started
    if stop.requested is not None:
        raise Stopped(
            stop.requested,
            f"Stopped: {summary.done + summary.kept} of {summary.photographs} masks are in {shown(output.root)}.",
            "The same command does the rest.",
        )
    return summary


def _todo(
    found: Found, output: OutputFolder, journal: Journal, settings: SegmentSettings, summary: Summary
) -> list[Photo]:
    todo = []
    for photo in found.photos:
        complete = journal.done(photo, found.root, output.root)
        if complete and settings.overlay:
            complete = (output.root / overlay_name(photo.mask)).is_file()
        if complete:
            summary.kept += 1
            summary.pixels.update(journal.entries[photo.path].pixels or {})
        else:
            todo.append(photo)
    return todo


def _count(finished: Finished, summary: Summary, progress: Progress, stage: Stage) -> None:
    entry, path = finished.entry, shown(finished.entry.path)
    for name, seconds in finished.seconds.items():
        summary.seconds[name] += seconds
    if entry.status == "done":
        summary.done += 1
        summary.pixels.update(entry.pixels or {})
        progress.event("photograph", path=path, status="done", mask=shown(entry.mask or ""))
    else:
        summary.failed.append((path, entry.error or "failed"))
        progress.event("photograph", path=path, status="failed", error=entry.error)
        progress.warn(f"{path}: {entry.error}")
    stage.advance()


@dataclass(frozen=True)
class _Ready:
    """A decoded photograph: its bytes and mtime when it was read, and the seconds that took."""

    photo: Photo
    decoded: Decoded
    stat: tuple[int, int]
    seconds: float


class _Run:
    """One run's fixed parts, and the batch size, which running out of memory may lower."""

    def __init__(
        self, root: Path, output: OutputFolder, session: Session, settings: SegmentSettings, progress: Progress,
        summary: Summary,
    ) -> None:  # fmt: skip
        self._root, self._output, self._session, self._settings = root, output, session, settings
        self._progress, self._seconds = progress, summary.seconds
        self._batch = settings.batch_size or (_CPU_BATCH if session.device == "cpu" else _GPU_BATCH)

    def masks(self, todo: list[Photo], stop: Stop) -> Iterator[Finished]:
        """Yield every photograph's outcome, in the order in which they are finished."""
        count = self._settings.workers or cores()
        with (
            ThreadPoolExecutor(cores()) as decoders,
            Workers(count, self._needs_processes(), self._progress) as workers,
        ):
            ahead = 2 * max(cores(), self._batch)
            decoded = map_ahead(decoders, self._decode, todo, ahead, lambda: stop.requested is not None)
            for batch in by_shape(decoded, _shape, lambda: self._batch, 4 * self._batch):
                for job in self._infer(batch):
                    if isinstance(job, Finished):
                        yield job
                    else:
                        yield from workers.submit(job)
            yield from workers.drain()

    def _needs_processes(self) -> bool:
        if self._settings.crf is None:
            return False
        name, _ = choose_engine(self._settings.crf_engine)
        return not ENGINES[name].threads

    def _decode(self, photo: Photo) -> _Ready | Finished:
        clock = time.perf_counter()
        path = self._root / photo.path
        stat = (-1, -1)
        try:
            stat = _stat(path)
            info = self._session.info
            decoded = decode(path, self._settings.res or info.res, info.patch)
            if _stat(path) != stat:
                raise PhotoError("it changed while it was read")
        except (PhotoError, OSError) as error:
            reason = error.message if isinstance(error, PhotoError) else error.strerror or str(error)
            return Finished(Entry(photo.path, "failed", *stat, error=reason), {"decode": time.perf_counter() - clock})
        return _Ready(photo, decoded, stat, time.perf_counter() - clock)

    def _infer(self, batch: Sequence[_Ready | Finished]) -> Iterator[Job | Finished]:
        """Run the model on photographs of one shape; what has failed passes through."""
        ready = [item for item in batch if isinstance(item, _Ready)]
        yield from (item for item in batch if isinstance(item, Finished))
        if not ready:
            return
        clock = time.perf_counter()
        try:
            images = np.stack([item.decoded.pixels for item in ready])
            log_probs = self._session.log_probs(images, self._settings.probe)
        except Exception as error:
            yield from self._smaller(ready, error)
            return
        self._seconds["infer"] += time.perf_counter() - clock
        for item, values in zip(ready, log_probs, strict=True):
            self._seconds["decode"] += item.seconds
            yield self._job(item, values)

    def _smaller(self, batch: list[_Ready], error: Exception) -> Iterator[Job | Finished]:
        """Try again in halves: the likely cause is memory, and one photograph may fit where sixteen did not."""
        if len(batch) == 1:
            said = (str(error) or type(error).__name__).splitlines()[0]
            reason = f"the model could not run on it: {said}"
            if "allocate memory" in said:
                reason = "not enough memory for the model at this size; give a smaller --res"
            yield Finished(Entry(batch[0].photo.path, "failed", *batch[0].stat, error=reason), {})
            return
        half = len(batch) // 2
        if half < self._batch:
            self._batch = half
            self._progress.note(f"Batches of {len(batch)} do not fit; going on with {half}.")
        yield from self._infer(batch[:half])
        yield from self._infer(batch[half:])

    def _job(self, item: _Ready, log_probs: LogProbs) -> Job:
        return Job(
            photo=item.photo,
            root=self._root,
            out=self._output.root,
            scratch=self._output.state,
            pixels=item.decoded.pixels,
            log_probs=log_probs,
            size=item.decoded.size,
            stat=item.stat,
            crf=self._settings.crf,
            crf_engine=self._settings.crf_engine,
            colours=self._session.info.colours(self._settings.probe),
            overlay=self._settings.overlay,
        )


def _shape(item: _Ready | Finished) -> tuple[int, ...] | None:
    return item.decoded.pixels.shape if isinstance(item, _Ready) else None


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
