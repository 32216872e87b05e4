"""From photographs to finished masks, the fastest way the machine has, with a bounded number of them in memory.

- On the CPU each photograph goes through all its stages in one thread, as many side by side as there are cores: no
  stage waits for another, nothing is handed over, and each core works on one photograph's data.
- A CRF engine that holds the interpreter (pydensecrf) gets processes for what follows the network.
- A GPU gets batches of one shape, two of them in flight, between threads that decode and threads that write.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stego_cli.crf import ENGINES, choose_engine
from stego_cli.errors import PhotoError
from stego_cli.images.decode import Decoded, Rgb, decode
from stego_cli.images.discover import Photo
from stego_cli.images.streams import as_finished, by_shape, map_ahead
from stego_cli.inference.finish import Finished, Job, Plan, failed, finish, reason_of, write_mask
from stego_cli.inference.session import LogProbs, Session, is_out_of_memory
from stego_cli.inference.tiles import in_tiles
from stego_cli.inference.workers import Workers
from stego_cli.machine import cores, memory
from stego_cli.processes import thread_pool
from stego_cli.progress import Progress
from stego_cli.settings import SegmentSettings

_GPU_BATCH = 16
_IN_FLIGHT = 2  # batches a GPU: while one is computed the next is copied
_USUAL_MEMORY = 8_000_000_000  # bytes, where nobody says how many there are
_MEMORY_A_LANE = 400_000_000  # bytes that a photograph takes on its way through, at the usual sizes


class Labeller(Protocol):
    """Turns a batch into labels on a device of its own: `gpu_pipeline.DevicePipeline`."""

    def labels(self, images: Rgb, sizes: list[tuple[int, int]]) -> list[NDArray[np.uint8] | PhotoError]:
        """Return labels, uint8 (H, W) of each size, for images uint8 (B, H, W, 3)."""


@dataclass(frozen=True)
class Ready:
    """A decoded photograph: its bytes and mtime when it was read, and the seconds that took."""

    photo: Photo
    decoded: Decoded
    stat: tuple[int, int]
    seconds: dict[str, float]


def lanes(settings: SegmentSettings) -> int:
    """Return how many photographs are worked on at once on the CPU: one a core, as far as memory allows."""
    return settings.workers or max(1, min(cores(), int((memory() or _USUAL_MEMORY) * 0.5 / _MEMORY_A_LANE)))


def session_threads(settings: SegmentSettings) -> int:
    """Return the threads that ONNX Runtime takes for one photograph, so that all lanes together fill the cores."""
    if settings.crf is not None and not ENGINES[choose_engine(settings.crf_engine)[0]].threads:
        return cores()
    return max(1, cores() // lanes(settings))


class Pipeline:
    """One run's way from photographs to masks."""

    def __init__(
        self,
        sessions: Sequence[Session],
        labellers: Sequence[Labeller],
        settings: SegmentSettings,
        plan: Plan,
        progress: Progress,
    ) -> None:
        self._session, self._labellers, self._settings, self._plan = sessions[0], labellers, settings, plan
        self._progress = progress
        self._batch = self._first_batch = settings.batch_size or (1 if self._session.device == "cpu" else _GPU_BATCH)
        self._lowering = threading.Lock()

    def masks(self, todo: list[Photo], stopped: Callable[[], bool]) -> Iterator[Finished]:
        """Yield every photograph's outcome, in the order in which they are finished; once `stopped`, begin no more.

        Raises:
            OutputError: a mask cannot be written.
        """
        if self._labellers:
            return self._on_devices(todo, stopped)
        if self._plan.crf is not None and not ENGINES[self._plan.crf_engine].threads:
            return self._with_processes(todo, stopped)
        return self._in_lanes(todo, stopped)

    def _in_lanes(self, todo: list[Photo], stopped: Callable[[], bool]) -> Iterator[Finished]:
        count = lanes(self._settings)
        with thread_pool(count) as pool:
            yield from as_finished(pool, self._whole, todo, 2 * count, stopped)

    def _whole(self, photo: Photo) -> Finished:
        """Do one photograph from its file to its mask."""
        ready = self._decode(photo)
        if isinstance(ready, Finished):
            return ready
        outcome = self._infer(ready)
        if isinstance(outcome, Finished):
            return outcome
        try:
            return finish(outcome, self._plan)
        except (PhotoError, ValueError, MemoryError) as error:
            return failed(photo, ready.stat, reason_of(error), ready.seconds)

    def _with_processes(self, todo: list[Photo], stopped: Callable[[], bool]) -> Iterator[Finished]:
        count = self._settings.workers or cores()
        with thread_pool(cores()) as decoders, Workers(count, self._plan, self._progress) as workers:
            for ready in map_ahead(decoders, self._decode, todo, 2 * cores(), stopped):
                outcome = ready if isinstance(ready, Finished) else self._infer(ready)
                if isinstance(outcome, Finished):
                    yield outcome
                else:
                    yield from workers.submit(outcome)
            yield from workers.drain()

    def _on_devices(self, todo: list[Photo], stopped: Callable[[], bool]) -> Iterator[Finished]:
        free: queue.SimpleQueue[Labeller] = queue.SimpleQueue()
        for labeller in [*self._labellers] * _IN_FLIGHT:
            free.put(labeller)
        flying = _IN_FLIGHT * len(self._labellers)

        def compute(batch: list[Ready | Finished]) -> list[tuple[Ready, NDArray[np.uint8]] | Finished]:
            labeller = free.get()
            try:
                return self._label(batch, labeller)
            finally:
                free.put(labeller)

        with thread_pool(cores()) as decoders, thread_pool(flying) as devices, thread_pool(cores()) as writers:
            decoded = map_ahead(decoders, self._decode, todo, 2 * max(cores(), flying * self._batch), stopped)
            batches = by_shape(decoded, _shape, lambda: self._batch, 4 * self._batch)
            labelled = (item for batch in map_ahead(devices, compute, batches, flying + 1) for item in batch)
            yield from as_finished(writers, self._write, labelled, 2 * cores(), lambda: False)

    def _write(self, item: tuple[Ready, NDArray[np.uint8]] | Finished) -> Finished:
        if isinstance(item, Finished):
            return item
        ready, labels = item
        try:
            return write_mask(labels, ready.photo, ready.stat, self._plan, ready.seconds)
        except (PhotoError, ValueError, MemoryError) as error:
            return failed(ready.photo, ready.stat, reason_of(error), ready.seconds)

    def _decode(self, photo: Photo) -> Ready | Finished:
        clock = time.perf_counter()
        path, stat = self._plan.root / photo.path, (-1, -1)
        try:
            stat = _stat(path)
            info = self._session.info
            decoded = decode(path, self._settings.res or info.res, info.patch)
            if _stat(path) != stat:
                raise PhotoError("it changed while it was read")
        except (PhotoError, OSError, MemoryError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else reason_of(error)
            return failed(photo, stat, reason, {"decode": time.perf_counter() - clock})
        return Ready(photo, decoded, stat, {"decode": time.perf_counter() - clock})

    def _infer(self, ready: Ready) -> Job | Finished:
        """Run the network on one photograph on the CPU."""
        clock = time.perf_counter()
        try:
            log_probs = in_tiles(ready.decoded.pixels[None], self._session.info.patch, self._log_probs)[0]
        except Exception as error:  # ONNX Runtime's errors share no base class but this
            return failed(ready.photo, ready.stat, _why_not_run(error), ready.seconds)
        ready.seconds["infer"] = time.perf_counter() - clock
        return Job(ready.photo, ready.decoded.size, ready.stat, ready.decoded.pixels, log_probs, ready.seconds)

    def _log_probs(self, images: Rgb) -> LogProbs:
        return self._session.log_probs(images, self._settings.probe)

    def _label(
        self, batch: Sequence[Ready | Finished], labeller: Labeller
    ) -> list[tuple[Ready, NDArray[np.uint8]] | Finished]:
        """Label photographs of one shape on a device; what has failed passes through."""
        ready = [item for item in batch if isinstance(item, Ready)]
        outcomes: list[tuple[Ready, NDArray[np.uint8]] | Finished] = [
            item for item in batch if isinstance(item, Finished)
        ]
        if not ready:
            return outcomes
        clock = time.perf_counter()
        try:
            images = np.stack([item.decoded.pixels for item in ready])
            labels = labeller.labels(images, [item.decoded.size for item in ready])
        except Exception as error:
            return [*outcomes, *self._halved(ready, labeller, error)]
        for item, result in zip(ready, labels, strict=True):
            item.seconds["infer"] = (time.perf_counter() - clock) / len(ready)
            if isinstance(result, PhotoError):
                outcomes.append(failed(item.photo, item.stat, result.message, item.seconds))
            else:
                outcomes.append((item, result))
        return outcomes

    def _halved(
        self, batch: list[Ready], labeller: Labeller, error: Exception
    ) -> list[tuple[Ready, NDArray[np.uint8]] | Finished]:
        """Try again in halves: the likely cause is memory, and one photograph may fit where sixteen did not."""
        if len(batch) == 1:
            return [failed(batch[0].photo, batch[0].stat, _why_not_run(error), batch[0].seconds)]
        half = len(batch) // 2
        with self._lowering:  # several batches are in flight, and all of them may meet it at once
            if self._batch == self._first_batch:
                self._progress.note(f"Batches of {len(batch)} do not fit into memory; going on with smaller ones.")
            self._batch = min(self._batch, half)
        return [*self._label(batch[:half], labeller), *self._label(batch[half:], labeller)]


def _why_not_run(error: Exception) -> str:
    said = (str(error) or type(error).__name__).splitlines()[0]
    if is_out_of_memory(error):
        return "not enough memory for the model at this size; give a smaller --res"
    return f"the model could not run on it: {said}"


def _shape(item: Ready | Finished) -> tuple[int, ...] | None:
    return item.decoded.pixels.shape if isinstance(item, Ready) else None


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
