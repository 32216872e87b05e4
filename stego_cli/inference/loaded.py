"""A model, loaded on each device asked for, with everything decided that a run over many photographs needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stego_cli.crf import ENGINES
from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.decode import Rgb
from stego_cli.inference.devices.decoders import DeviceDecoder, Encoded, open_decoder
from stego_cli.inference.devices.providers import parse_devices
from stego_cli.inference.outputs import OUTPUTS
from stego_cli.inference.predict import Recipe, choose_refiner
from stego_cli.inference.session import Session
from stego_cli.machine import cores, memory
from stego_cli.palette import Colour
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.settings import Decoder, SegmentSettings
from stego_cli.text import shown

_GPU_BATCH = 16
_USUAL_MEMORY = 8_000_000_000  # bytes, where the system does not tell how many there are
_MEMORY_A_LANE = 400_000_000  # bytes that a photograph takes on its way through, at the usual sizes


class Labeller(Protocol):
    """Turns a batch into labels on a device of its own: `gpu_pipeline.DevicePipeline`."""

    declined: int  # photographs that its decoder did not take
    decodes: bool  # whether it takes photographs that are not decoded yet

    def labels(
        self, images: Sequence[Rgb | Encoded], sizes: list[tuple[int, int]]
    ) -> list[NDArray[np.uint8] | PhotoError]:
        """Return labels, uint8 (H, W) of each size, for images of one shape, uint8 (H, W, 3) or not decoded yet."""


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready for a run.

    Attributes:
        file: the model file.
        sessions: the model, on each device.
        labellers: do all from the network to the labels, one on each GPU; empty: the CPU does a part of it.
        recipe: what decides the labels.
        batch: photographs of one shape that a device gets at once.
        lanes: photographs that are worked on at once on the CPU, each by a thread.
        processes: that refine where the CRF engine holds the GIL.
    """

    file: Path
    sessions: Sequence[Session]
    labellers: Sequence[Labeller]
    recipe: Recipe
    batch: int
    lanes: int
    processes: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes in the masks."""
        return self.sessions[0].info.names(self.recipe.probe)

    @property
    def colours(self) -> list[Colour]:
        """The colours of the classes in the masks."""
        return self.sessions[0].info.colours(self.recipe.probe)


def read_as(model: LoadedModel, reading: Reading) -> LoadedModel:
    """Return a model that reads photographs in another way."""
    return replace(model, recipe=replace(model.recipe, reading=reading))


def load_model(file: Path, settings: SegmentSettings, reading: Reading, progress: Progress) -> LoadedModel:
    """Load a model file on every device asked for; `reading` is that of `settings` with what was decided for the run.

    Raises:
        ModelError: the file is missing, unreadable, or not a model of this tool.
        UsageError: it lacks the probe; a device or the CRF engine cannot be used.
    """
    lanes = lanes_for(settings.workers)
    engine = ENGINES.get(settings.crf_engine)  # "auto" takes none that holds the GIL
    alone = settings.crf and engine is not None and not engine.releases_gil
    threads = cores() if alone else max(1, cores() // lanes)  # so that all lanes together use every core
    sessions = [Session.from_file(file, device, threads) for device in parse_devices(settings.device)]
    info, on_gpu = sessions[0].info, sessions[0].gpu is not None
    sessions[0].require_probe(settings.probe)
    refiner = choose_refiner(settings.crf, settings.crf_engine, on_gpu, progress.note)
    recipe = Recipe(settings.res or info.res, settings.probe, refiner, reading)
    on_devices = labellers(sessions, recipe, settings.outputs, progress, settings.decoder) if on_gpu else []
    decoded_there = any(labeller.decodes for labeller in on_devices)
    if settings.decoder == "gpu" and not decoded_there:
        raise UsageError(
            f"{setting('decoder', 'gpu')} needs a GPU that does everything up to the masks.",
            f"Give {setting('decoder', 'auto')}.",
        )
    where = ", ".join(session.device for session in sessions)
    progress.note(f"Model {shown(file)} ({len(info.names(settings.probe))} classes) on {where} ({sessions[0].why}).")
    return LoadedModel(
        file=file,
        sessions=sessions,
        labellers=on_devices,
        recipe=replace(recipe, decoder="gpu") if decoded_there else recipe,
        batch=(_GPU_BATCH if on_gpu else 1) if settings.batch_size == "auto" else settings.batch_size,
        lanes=lanes,
        processes=settings.workers or cores(),
    )


def lanes_for(workers: int | None) -> int:
    """Return how many photographs are worked on at once on the CPU: one a core, as far as memory allows."""
    return workers or max(1, min(cores(), int((memory() or _USUAL_MEMORY) * 0.5 / _MEMORY_A_LANE)))


def labellers(
    sessions: Sequence[Session], recipe: Recipe, also: tuple[str, ...], progress: Progress, decoder: Decoder = "cpu"
) -> list[Labeller]:
    """Return what does everything up to the labels on each GPU, or nothing where the CPU has to do a part of it.

    Raises:
        UsageError: the decoder "gpu" cannot be used.
    """
    refiner = recipe.refiner
    if any(OUTPUTS[name].needs_log_probs for name in also) or (refiner and refiner.engine.name != "cuda"):
        return []
    from stego_cli.inference.devices import gpu_pipeline

    crf = None if refiner is None else refiner.settings
    reason = gpu_pipeline.missing(sessions[0], crf)
    if reason is not None:
        progress.note(f"Only the network runs on the GPU: {reason}.")
        return []
    decoders = _decoders(sessions, decoder, progress)
    pairs = zip(sessions, decoders, strict=True)
    return [gpu_pipeline.DevicePipeline(session, recipe.probe, crf, decoder) for session, decoder in pairs]


def _decoders(sessions: Sequence[Session], wanted: Decoder, progress: Progress) -> list[DeviceDecoder | None]:
    """Return a decoder on each session's GPU; with "auto" none where they cannot be used."""
    if wanted == "cpu":
        return [None] * len(sessions)
    try:
        return [open_decoder(session.gpu or 0) for session in sessions]
    except UsageError as error:
        if wanted == "gpu":
            raise
        progress.note(f"Photographs are decoded on the CPU ({error.message.partition(': ')[2].rstrip('.')}).")
        return [None] * len(sessions)
