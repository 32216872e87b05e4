"""From photographs to finished masks, in the fastest way for the machine, with a bounded number of them in memory.

- On the CPU each photograph goes through all its stages in one thread, as many side by side as there are cores: no
  stage waits for another, nothing is handed over, and each core works on the data of one photograph.
- A CRF engine that holds the GIL (pydensecrf) gets processes for what follows the network.
- A GPU gets batches of one shape, two of them in flight, between threads that decode and threads that write.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import ModelError, PhotoError
from stego_cli.images.decode import Decoded, decode
from stego_cli.images.discover import Photo
from stego_cli.images.streams import as_finished, by_shape, map_ahead
from stego_cli.inference.devices.decoders import encoded
from stego_cli.inference.loaded import Labeller, LoadedModel
from stego_cli.inference.outputs import (
    Inferred,
    Outcome,
    OutputPlan,
    Ready,
    failed,
    reason_of,
    write_inferred,
    write_outputs,
)
from stego_cli.inference.predict import infer, why_not_run
from stego_cli.inference.workers import Workers
from stego_cli.machine import cores
from stego_cli.processes import thread_pool
from stego_cli.progress import Progress

_IN_FLIGHT = 2  # batches a GPU: while one is computed the next is copied


class Pipeline:
    """One run's way from photographs to masks.

    Args:
        model: loaded.
        plan: what is written, and where.
        progress: gets notes.
        decode_part: decodes parts of a larger file, where the photographs are such; raises PhotoError.
    """

    def __init__(
        self,
        model: LoadedModel,
        plan: OutputPlan,
        progress: Progress,
        decode_part: Callable[[Photo], Decoded] | None = None,
    ) -> None:
        self._model, self._session, self._plan = model, model.sessions[0], plan
        self._progress, self._decode_part = progress, decode_part
        self._batch = self._first_batch = model.batch
        self._lowering, self._counting = threading.Lock(), threading.Lock()
        self._on_host = 0  # photographs that the CPU decoded although a GPU was to

    def masks(self, todo: Iterable[Photo], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        """Yield every photograph's outcome, in the order in which they are finished; once `stopped`, begin no more.

        Raises:
            OutputError: a mask cannot be written.
        """
        if self._model.labellers:
            return self._on_devices(todo, stopped)
        refiner = self._model.recipe.refiner
        if refiner is not None and not refiner.engine.releases_gil:
            return self._with_processes(todo, stopped)
        return self._in_lanes(todo, stopped)

    def _in_lanes(self, todo: Iterable[Photo], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        count = self._model.lanes
        with thread_pool(count) as pool:
            yield from as_finished(pool, self._whole, todo, 2 * count, stopped)

    def _whole(self, photo: Photo) -> Outcome:
        """Do one photograph from its file to its mask."""
        ready = self._decode(photo)
        if isinstance(ready, Outcome):
            return ready
        outcome = self._infer(ready)
        if isinstance(outcome, Outcome):
            return outcome
        try:
            return write_inferred(outcome, self._plan)
        except (PhotoError, ValueError, MemoryError) as error:
            return failed(photo, ready.stat, reason_of(error), ready.seconds)

    def _with_processes(self, todo: Iterable[Photo], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        count = self._model.processes
        with thread_pool(cores()) as decoders, Workers(count, self._plan, self._progress) as workers:
            for ready in map_ahead(decoders, self._decode, todo, 2 * cores(), stopped):
                outcome = ready if isinstance(ready, Outcome) else self._infer(ready)
                if isinstance(outcome, Outcome):
                    yield outcome
                else:
                    yield from workers.submit(outcome)
            yield from workers.drain()

    def _on_devices(self, todo: Iterable[Photo], stopped: Callable[[], bool]) -> Iterator[Outcome]:
        free: queue.SimpleQueue[Labeller] = queue.SimpleQueue()
        for labeller in [*self._model.labellers] * _IN_FLIGHT:
            free.put(labeller)
        flying = _IN_FLIGHT * len(self._model.labellers)

        def compute(batch: list[Ready | Outcome]) -> list[tuple[Ready, NDArray[np.uint8]] | Outcome]:
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
        declined = self._on_host + sum(labeller.declined for labeller in self._model.labellers)
        if declined:
            self._progress.note(f"{declined} photographs were decoded on the CPU: that of the GPU does not take them.")

    def _write(self, item: tuple[Ready, NDArray[np.uint8]] | Outcome) -> Outcome:
        if isinstance(item, Outcome):
            return item
        ready, labels = item
        try:
            return write_outputs(labels, ready, self._plan, ready.seconds)
        except (PhotoError, ValueError, MemoryError) as error:
            return failed(ready.photo, ready.stat, reason_of(error), ready.seconds)

    def _decode(self, photo: Photo) -> Ready | Outcome:
        clock = time.perf_counter()
        path, stat, packed = self._plan.root / photo.file, (-1, -1), None
        try:
            stat = _stat(path)
            recipe = self._model.recipe
            wanted = recipe.res, self._session.info.patch, recipe.reading
            if self._decode_part is not None:
                decoded = self._decode_part(photo)
            elif recipe.decoder == "gpu" and (packed := encoded(path, *wanted)) is not None:
                decoded = Decoded(packed.placeholder, packed.size)
            else:
                decoded = decode(path, *wanted)
                with self._counting:
                    self._on_host += recipe.decoder == "gpu"
            if _stat(path) != stat:
                raise PhotoError("it changed while it was read")
        except (PhotoError, OSError, MemoryError) as error:
            reason = error.strerror or str(error) if isinstance(error, OSError) else reason_of(error)
            return failed(photo, stat, reason, {"decode": time.perf_counter() - clock})
        return Ready(photo, decoded, stat, {"decode": time.perf_counter() - clock}, packed)

    def _infer(self, ready: Ready) -> Inferred | Outcome:
        """Run the network on one photograph on the CPU."""
        clock = time.perf_counter()
        probe, pixels = self._model.recipe.probe, ready.decoded.pixels
        try:
            log_probs = infer(self._session, pixels, [probe])[probe]
        except (PhotoError, MemoryError) as error:
            return failed(ready.photo, ready.stat, reason_of(error), ready.seconds)
        ready.seconds["infer"] = time.perf_counter() - clock
        return Inferred(ready.photo, ready.decoded, ready.stat, log_probs, ready.seconds)

    def _label(
        self, batch: Sequence[Ready | Outcome], labeller: Labeller
    ) -> list[tuple[Ready, NDArray[np.uint8]] | Outcome]:
        """Label photographs of one shape on a device; what has failed passes through."""
        ready = [item for item in batch if isinstance(item, Ready)]
        outcomes: list[tuple[Ready, NDArray[np.uint8]] | Outcome] = [
            item for item in batch if isinstance(item, Outcome)
        ]
        if not ready:
            return outcomes
        clock = time.perf_counter()
        try:
            images = [item.encoded or item.decoded.pixels for item in ready]
            labels = labeller.labels(images, [item.decoded.size for item in ready])
        except ModelError:
            raise
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
    ) -> list[tuple[Ready, NDArray[np.uint8]] | Outcome]:
        """Try again in halves: the likely cause is memory, and one photograph may fit where sixteen did not."""
        if len(batch) == 1:
            return [failed(batch[0].photo, batch[0].stat, why_not_run(error), batch[0].seconds)]
        half = len(batch) // 2
        with self._lowering:  # several batches are in flight, and all of them may run out of memory at the same time
            if self._batch == self._first_batch:
                self._progress.note(f"Batches of {len(batch)} do not fit into memory; continuing with smaller ones.")
            self._batch = min(self._batch, half)
        return [*self._label(batch[:half], labeller), *self._label(batch[half:], labeller)]


def _shape(item: Ready | Outcome) -> tuple[int, ...] | None:
    return item.decoded.pixels.shape if isinstance(item, Ready) else None


def _stat(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
