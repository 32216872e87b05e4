"""The last stages of one photograph, run in a worker: refine, enlarge, encode, write."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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


@dataclass(frozen=True)
class Job:
    """One photograph after inference.

    Attributes:
        photo: its path and its mask's.
        root: input folder; `out`: output folder; `scratch`: folder for temporary files.
        pixels: uint8 (H, W, 3) at work size.
        log_probs: float32 (K, H, W).
        size: its own width and height; `stat`: bytes and mtime when it was read.
        crf: None for no CRF; `crf_engine`: a key of stego_cli.crf.CHOICES.
        colours: of the classes.
        overlay: whether to write one.
    """

    photo: Photo
    root: Path
    out: Path
    scratch: Path
    pixels: Rgb
    log_probs: LogProbs
    size: tuple[int, int]
    stat: tuple[int, int]
    crf: CrfSettings | None
    crf_engine: str
    colours: list[Colour]
    overlay: bool


@dataclass(frozen=True)
class Finished:
    """A photograph's journal entry and the seconds each stage took."""

    entry: Entry
    seconds: dict[str, float]


def overlay_name(mask: str) -> str:
    """Return the place of the overlay that goes with a mask: beside it, `x.overlay.jpg` for `x.png`."""
    stem = mask.removesuffix(".png")
    name = Path(stem).name.encode(errors="surrogateescape")
    if len(name) + len(".overlay.jpg") > 255:  # the file system's limit: the hash keeps shortened names apart
        folder = stem[: len(stem) - len(Path(stem).name)]
        stem = folder + hashlib.sha256(name).hexdigest()
    return f"{stem}.overlay.jpg"


def finish(job: Job) -> Finished:
    """Refine, enlarge, encode and write one photograph's mask.

    Raises:
        OutputError: it cannot be written.
        PhotoError: the model's output is not finite, or the photograph could not be read again for its overlay.
    """
    seconds: dict[str, float] = {}
    clock = time.perf_counter()
    log_probs = job.log_probs
    if not np.isfinite(log_probs).all():
        raise PhotoError("the model gives values for it that are not finite")
    if job.crf is not None:
        log_probs = refine(job.pixels, log_probs, job.crf, job.crf_engine)
        clock = _lap(seconds, "refine", clock)
    labels = labels_at(log_probs, job.size)
    mask = encode_mask(labels, job.colours)
    clock = _lap(seconds, "encode", clock)
    write_bytes(job.out / job.photo.mask, mask, job.scratch)
    if job.overlay:
        content = encode_overlay(decode_whole(job.root / job.photo.path), labels, job.colours)
        write_bytes(job.out / overlay_name(job.photo.mask), content, job.scratch)
    _lap(seconds, "write", clock)
    counts = np.bincount(labels.ravel())
    entry = Entry(
        path=job.photo.path,
        status="done",
        size=job.stat[0],
        mtime=job.stat[1],
        mask=job.photo.mask,
        sha256=hashlib.sha256(mask).hexdigest(),
        pixels={int(index): int(counts[index]) for index in counts.nonzero()[0]},
    )
    return Finished(entry, seconds)


def _lap(seconds: dict[str, float], stage: str, since: float) -> float:
    now = time.perf_counter()
    seconds[stage] = now - since
    return now
