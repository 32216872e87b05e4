"""What a photograph gets: a table of files, each with its suffix and its content, and how they are written.

A new file is a row of OUTPUTS and what encodes it; `stego segment --also NAME` then writes it.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.atomic import sha256, write_bytes
from stego_cli.images.decode import Decoded, decode_whole
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry
from stego_cli.images.masks import apply_nodata, encode_mask, encode_overlay, encode_part, labels_at
from stego_cli.images.passes import counts, replaced
from stego_cli.inference.devices.decoders import Encoded
from stego_cli.inference.predict import Refiner
from stego_cli.inference.session import LogProbs
from stego_cli.palette import Colour
from stego_cli.reading import Reading

STEPS_A_NAT = 16  # of the kept log-probabilities: 8 bits reach down to exp(-16)


@dataclass(frozen=True)
class Segmented:
    """One photograph's result, before anything of it is written.

    Attributes:
        file: the photograph.
        reading: how it was decoded.
        labels: uint8 (H, W), at its own size.
        colours: of the classes.
        log_probs: float32 (K, h, w) at work size; None where they never leave a GPU.
        values: uint8 (K,), the value of each class in the masks; None: its own number.
    """

    file: Path
    reading: Reading
    labels: NDArray[np.uint8]
    colours: list[Colour]
    log_probs: LogProbs | None
    values: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Output:
    """One of the files that a photograph may get.

    Attributes:
        suffix: of its name, in place of the photograph's.
        encode: returns its content.
        needs_log_probs: whether it is made of log-probabilities, which a GPU otherwise keeps for itself.
    """

    suffix: str
    encode: Callable[[Segmented], bytes]
    needs_log_probs: bool = False


@dataclass(frozen=True)
class OutputPlan:
    """What is written for each photograph of a run, and where.

    Attributes:
        root: input folder; `out`: output folder; `scratch`: folder for temporary files.
        refiner: None: no CRF.
        colours: of the values in the masks.
        values: uint8 (K,), the value of each class in the masks; None: its own number.
        also: names of rows of OUTPUTS that are written beside the mask.
        reading: how photographs are decoded.
        main: the row of OUTPUTS that is at the place of the mask.
    """

    root: Path
    out: Path
    scratch: Path
    refiner: Refiner | None
    colours: list[Colour]
    values: NDArray[np.uint8] | None = None
    also: tuple[str, ...] = ()
    reading: Reading = Reading()
    main: str = "mask"


@dataclass(frozen=True)
class Ready:
    """A decoded photograph: its bytes and mtime when it was read, and the seconds that took.

    With `encoded` its pixels are not there yet; those of `decoded` have the work size and no channels.
    """

    photo: Photo
    decoded: Decoded
    stat: tuple[int, int]
    seconds: dict[str, float]
    encoded: Encoded | None = None


@dataclass(frozen=True)
class Inferred:
    """One photograph after inference.

    Attributes:
        photo: its path and its mask's.
        decoded: the photograph at work size; `stat`: bytes and mtime when it was read.
        log_probs: float32 (K, H, W), to be refined.
        seconds: that each stage took so far.
    """

    photo: Photo
    decoded: Decoded
    stat: tuple[int, int]
    log_probs: LogProbs
    seconds: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """What became of a photograph: its journal entry, done or failed, and the seconds that each stage took."""

    entry: Entry
    seconds: dict[str, float]


def _mask(result: Segmented) -> bytes:
    return encode_mask(result.labels, result.colours)


def _overlay(result: Segmented) -> bytes:
    return encode_overlay(decode_whole(result.file, result.reading), result.labels, result.colours)


def _probabilities(result: Segmented) -> bytes:
    """Return a compressed NPZ of log-probabilities in 8 bits, at work size.

    Its arrays: `log_probs` uint8 (K, h, w), minus the log-probability in steps of 1/16, at most 255; `steps`, 16;
    `size`, the photograph's own width and height.
    """
    assert result.log_probs is not None  # needs_log_probs
    steps = np.minimum(np.rint(result.log_probs * -STEPS_A_NAT), 255).astype(np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, log_probs=steps, steps=np.int64(STEPS_A_NAT), size=np.array(result.labels.shape[::-1]))
    return stream.getvalue()


def _part(result: Segmented) -> bytes:
    """Return a PNG of labels and of how probable each is, from which parts that overlap are joined."""
    return encode_part(result.labels, result.log_probs, result.values)


MASK = "mask"  # the output that every photograph gets
PART = "part"  # what a part of a larger file gets instead
OUTPUTS = {
    MASK: Output(".png", _mask),
    "overlay": Output(".overlay.jpg", _overlay),
    "probabilities": Output(".probs.npz", _probabilities, needs_log_probs=True),
    PART: Output(".png", _part),
}

BESIDE = tuple(name for name in OUTPUTS if name not in (MASK, PART))  # those that are written on request


def require_outputs(names: tuple[str, ...]) -> None:
    """Refuse names that are not in BESIDE.

    Raises:
        UsageError: there is one.
    """
    for name in names:
        if name not in BESIDE:
            raise UsageError(f"must be of {', '.join(BESIDE)}, got {name!r}", field="also")


def place(mask: str, output: str) -> str:
    """Return the place of an output: that of the mask `x.png`, with the output's own suffix."""
    suffix = OUTPUTS[output].suffix
    if output in (MASK, PART):
        return mask
    stem = mask.removesuffix(".png")
    name = Path(stem).name.encode(errors="surrogateescape")
    if len(name) + len(suffix) > 255:  # the file system's limit: the hash keeps shortened names apart
        folder = stem[: len(stem) - len(Path(stem).name)]
        stem = folder + hashlib.sha256(name).hexdigest()
    return f"{stem}{suffix}"


def failed(photo: Photo, stat: tuple[int, int], reason: str, seconds: dict[str, float] | None = None) -> Outcome:
    """Return the outcome of a photograph that gets no mask."""
    return Outcome(Entry(photo.path, "failed", *stat, error=reason), seconds or {})


def reason_of(error: Exception) -> str:
    """Return in a line why a photograph could not be finished."""
    if isinstance(error, PhotoError):
        return error.message
    return "not enough memory" if isinstance(error, MemoryError) else str(error) or type(error).__name__


def content_hash(file: Path, stat: tuple[int, int]) -> str | None:
    """Return the sha256 of a photograph, by which a run knows it again; None if it has changed since it was read."""
    try:
        content, now = sha256(file), file.stat()
    except OSError:
        return None
    return content if (now.st_size, now.st_mtime_ns) == stat else None


def write_inferred(inferred: Inferred, plan: OutputPlan) -> Outcome:
    """Refine, enlarge, encode and write what the network made of one photograph.

    Raises:
        OutputError: it cannot be written.
        PhotoError: the photograph could not be read again for one of its outputs.
        ValueError: the CRF cannot refine it.
    """
    seconds, log_probs = dict(inferred.seconds), inferred.log_probs
    clock = time.perf_counter()
    if plan.refiner is not None:
        log_probs = plan.refiner(inferred.decoded.pixels, log_probs)
        clock = _lap(seconds, "refine", clock)
    labels = labels_at(log_probs, inferred.decoded.size)
    _lap(seconds, "encode", clock)
    return write_outputs(labels, inferred, plan, seconds, log_probs)


def write_outputs(
    labels: NDArray[np.uint8],
    source: Ready | Inferred,
    plan: OutputPlan,
    seconds: dict[str, float],
    log_probs: LogProbs | None = None,
) -> Outcome:
    """Encode and write one photograph's mask, after what goes beside it; adds to `seconds`.

    Raises:
        OutputError: it cannot be written.
        PhotoError: the photograph could not be read again for one of its outputs.
    """
    photo, stat = source.photo, source.stat
    if plan.values is not None:
        labels = replaced(labels, plan.values)
    labels = apply_nodata(labels, source.decoded.nodata)
    result = Segmented(plan.root / photo.file, plan.reading, labels, plan.colours, log_probs, plan.values)
    clock = time.perf_counter()
    # All before the first is written, so that nothing of a photograph that fails is left. The mask last: what the
    # journal calls done has all that belongs to it.
    contents = {name: OUTPUTS[name].encode(result) for name in (*plan.also, plan.main)}
    clock = _lap(seconds, "encode", clock)
    for name, content in contents.items():
        write_bytes(plan.out / place(photo.mask, name), content, plan.scratch)
    _lap(seconds, "write", clock)
    found = counts(labels)
    entry = Entry(
        path=photo.path,
        status="done",
        size=stat[0],
        mtime=stat[1],
        mask=photo.mask,
        sha256=hashlib.sha256(contents[plan.main]).hexdigest(),
        content=None if photo.of else content_hash(plan.root / photo.file, stat),
        pixels={int(index): int(found[index]) for index in found.nonzero()[0]},
    )
    return Outcome(entry, seconds)


def _lap(seconds: dict[str, float], stage: str, since: float) -> float:
    now = time.perf_counter()
    seconds[stage] = seconds.get(stage, 0.0) + now - since
    return now
