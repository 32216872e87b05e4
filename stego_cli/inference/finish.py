"""The last stages of one photograph: refine, enlarge, encode, write."""

from __future__ import annotations

import hashlib
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.crf import refine
from stego_cli.errors import PhotoError
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import Rgb, decode_whole
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry
from stego_cli.images.masks import encode_mask, encode_overlay, labels_at
from stego_cli.inference.session import LogProbs
from stego_cli.palette import Colour
from stego_cli.settings import CrfSettings

OVERLAY, PROBABILITIES = ".overlay.jpg", ".probs.npz"  # of the files that go with a mask
STEPS_A_NAT = 16  # of the kept log-probabilities: 8 bits reach down to exp(-16)


@dataclass(frozen=True)
class Plan:
    """What is the same for all photographs of a run.

    Attributes:
        root: input folder; `out`: output folder; `scratch`: folder for temporary files.
        crf: None for no CRF; `crf_engine`: a key of stego_cli.crf.CHOICES.
        colours: of the classes.
        overlay: whether to write one; `probabilities`: whether to keep them.
    """

    root: Path
    out: Path
    scratch: Path
    crf: CrfSettings | None
    crf_engine: str
    colours: list[Colour]
    overlay: bool
    probabilities: bool


@dataclass(frozen=True)
class Job:
    """One photograph after inference.

    Attributes:
        photo: its path and its mask's.
        size: its own width and height; `stat`: bytes and mtime when it was read.
        pixels: uint8 (H, W, 3) at work size.
        log_probs: float32 (K, H, W), to be refined.
        seconds: that each stage took so far.
    """

    photo: Photo
    size: tuple[int, int]
    stat: tuple[int, int]
    pixels: Rgb
    log_probs: LogProbs
    seconds: dict[str, float]


@dataclass(frozen=True)
class Finished:
    """A photograph's journal entry and the seconds each stage took."""

    entry: Entry
    seconds: dict[str, float]


def failed(photo: Photo, stat: tuple[int, int], reason: str, seconds: dict[str, float] | None = None) -> Finished:
    """Return the outcome of a photograph that gets no mask."""
    return Finished(Entry(photo.path, "failed", *stat, error=reason), seconds or {})


def reason_of(error: Exception) -> str:
    """Return in a line why a photograph could not be finished."""
    if isinstance(error, PhotoError):
        return error.message
    return "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


def companion(mask: str, suffix: str) -> str:
    """Return the place of a file that goes with a mask: beside it, `x` and the suffix for `x.png`."""
    stem = mask.removesuffix(".png")
    name = Path(stem).name.encode(errors="surrogateescape")
    if len(name) + len(suffix) > 255:  # the file system's limit: the hash keeps shortened names apart
        folder = stem[: len(stem) - len(Path(stem).name)]
        stem = folder + hashlib.sha256(name).hexdigest()
    return f"{stem}{suffix}"


def finish(job: Job, plan: Plan) -> Finished:
    """Refine, enlarge, encode and write one photograph's mask.

    Raises:
        OutputError: it cannot be written.
        PhotoError: the model's output is not finite, or the photograph could not be read again for its overlay.
    """
    seconds = dict(job.seconds)
    clock = time.perf_counter()
    log_probs = job.log_probs
    if not np.isfinite(log_probs).all():
        raise PhotoError("the model gives values for it that are not finite")
    if plan.crf is not None:
        log_probs = refine(job.pixels, log_probs, plan.crf, plan.crf_engine)
        clock = _lap(seconds, "refine", clock)
    labels = labels_at(log_probs, job.size)
    if plan.probabilities:
        content = encode_probabilities(log_probs, job.size)
        write_bytes(plan.out / companion(job.photo.mask, PROBABILITIES), content, plan.scratch)
    _lap(seconds, "encode", clock)
    return write_mask(labels, job.photo, job.stat, plan, seconds)


def write_mask(
    labels: NDArray[np.uint8], photo: Photo, stat: tuple[int, int], plan: Plan, seconds: dict[str, float]
) -> Finished:
    """Encode and write the mask of `labels`, uint8 (H, W), and its overlay; adds to `seconds`.

    Raises:
        OutputError: it cannot be written.
        PhotoError: the photograph could not be read again for its overlay.
    """
    clock = time.perf_counter()
    mask = encode_mask(labels, plan.colours)
    clock = _lap(seconds, "encode", clock)
    if plan.overlay:  # before the mask: what the journal calls done has all that belongs to it
        content = encode_overlay(decode_whole(plan.root / photo.path), labels, plan.colours)
        write_bytes(plan.out / companion(photo.mask, OVERLAY), content, plan.scratch)
    write_bytes(plan.out / photo.mask, mask, plan.scratch)
    _lap(seconds, "write", clock)
    counts = np.bincount(labels.ravel())
    entry = Entry(
        path=photo.path,
        status="done",
        size=stat[0],
        mtime=stat[1],
        mask=photo.mask,
        sha256=hashlib.sha256(mask).hexdigest(),
        pixels={int(index): int(counts[index]) for index in counts.nonzero()[0]},
    )
    return Finished(entry, seconds)


def encode_probabilities(log_probs: LogProbs, size: tuple[int, int]) -> bytes:
    """Return a compressed NPZ of log-probabilities in 8 bits, at work size.

    Its arrays: `log_probs` uint8 (K, h, w), minus the log-probability in steps of 1/16, at most 255; `steps`, 16;
    `size`, the photograph's own width and height.
    """
    steps = np.minimum(np.rint(log_probs * -STEPS_A_NAT), 255).astype(np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, log_probs=steps, steps=np.int64(STEPS_A_NAT), size=np.array(size))
    return stream.getvalue()


def _lap(seconds: dict[str, float], stage: str, since: float) -> float:
    now = time.perf_counter()
    seconds[stage] = seconds.get(stage, 0.0) + now - since
    return now
