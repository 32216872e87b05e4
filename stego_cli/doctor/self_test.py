"""A short, timed run of each part of segmenting with a known answer: decode, infer, refine, write.

Photographs and models are generated, so neither a model file nor weights nor a network are needed. It takes some
seconds.
"""

from __future__ import annotations

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.crf import ENGINES, resolve_engine
from stego_cli.doctor.findings import Finding, guarded
from stego_cli.doctor.sample_models import COLOURS, PATCH, colour_model, transformer_model
from stego_cli.errors import PhotoError
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import decode, decode_whole
from stego_cli.images.masks import encode_mask
from stego_cli.inference.devices.driver import find_driver
from stego_cli.inference.session import Session
from stego_cli.palette import palette
from stego_cli.settings import CrfSettings

_CLASSES = 27  # of the published evaluations
_WORK = (322, 434)  # height and width at which the network sees a photograph of 4 to 3
_PHOTO = (640, 480)  # width and height
_AGREE = 0.999  # share of pixels; engines differ only by rounding
_CRF_SIDE = 128  # pixels
_REGION = 16  # pixels, the side of a region of one class
WORK_PIXELS, CRF_PIXELS = _WORK[0] * _WORK[1], _CRF_SIDE * _CRF_SIDE  # of the network's input and of the CRF's
_REINSTALL = "Reinstall the package; if that does not help, report this line."
_REPEAT_SECONDS = 1.0  # for the repetitions of one measurement


def run_part(name: str) -> Finding:
    """Run one of PARTS; an error becomes a finding too."""
    return guarded("self-test", name, PARTS[name], remedy=_REINSTALL)


def _finding(name: str, text: str, good: bool = True, remedy: str = "", **figures: object) -> Finding:
    if good:
        return Finding("self-test", name, text, figures=figures)
    return Finding("self-test", name, text, "problem", remedy or _REINSTALL, figures)


def _stripes(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a picture of stripes in the colour model's four colours, uint8 (H, W, 3), and its classes, (H, W)."""
    labels = np.tile((np.arange(width) * len(COLOURS) // width).astype(np.uint8), (height, 1))
    return np.array(list(COLOURS.values()), np.uint8)[labels], labels


def _milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of up to five calls, after one that is not timed."""
    work()
    began = time.perf_counter()
    taken: list[float] = []
    while len(taken) < 5 and time.perf_counter() - began < _REPEAT_SECONDS:
        started = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def _decode() -> Finding:
    """Decode a JPEG, and check that half of it is refused."""
    pixels, _ = _stripes(_PHOTO[1], _PHOTO[0])
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "photograph.jpg")
        file.write_bytes(stream.getvalue())
        took = _milliseconds(lambda: decode(file, _WORK[0], PATCH))
        off = np.abs(np.asarray(decode_whole(file), np.int16) - pixels).mean()
        file.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
        try:
            decode(file, _WORK[0], PATCH)
            refused = False
        except PhotoError:
            refused = True
    good, size = bool(off < 3) and refused, f"{_PHOTO[0]} x {_PHOTO[1]}"
    text = f"a JPEG of {size} in {took:.1f} ms" if good else f"a JPEG of {size} was decoded wrongly"
    return _finding("decode", text, good, "Reinstall pillow.", milliseconds=took, mean_error=float(off))


def _model() -> Finding:
    """Run a model with a known answer on the device that --device auto takes."""
    pixels, labels = _stripes(4 * PATCH, 8 * PATCH)
    session = Session.from_bytes(colour_model(), "auto", "the self-test's model")
    same = float((session.log_probs(pixels[None])[0].argmax(0) == labels).mean())
    where = f"{session.device} ({session.why})"
    text = f"right on {where}" if same == 1 else f"wrong on {where}: {same:.1%} of pixels right"
    figures: dict[str, object] = {"device": session.device, "right": same}
    driver = find_driver()
    if same == 1 and session.device == "cpu" and driver and driver.gpus:
        remedy = "There is a GPU; `pip install 'onnxruntime-gpu[cuda,cudnn]'` installs what using it needs."
        return Finding("self-test", "model", text, "warning", remedy, figures)
    return _finding("model", text, same == 1, "Reinstall onnxruntime.", **figures)


def _speed() -> Finding:
    """Time a network of the default backbone's shape."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *_WORK, 3), np.uint8)
    session = Session.from_bytes(transformer_model(*_WORK, _CLASSES), "auto", "the self-test's model")
    took = _milliseconds(lambda: session.log_probs(pixels))
    finite = bool(np.isfinite(session.log_probs(pixels)).all())
    text = f"{took:.0f} ms a photograph at {_WORK[0]} x {_WORK[1]}, a network of the default backbone's shape"
    text = text if finite else "the network's values are not finite"
    return _finding("speed", text, finite, "Give --device cpu.", milliseconds=took, device=session.device)


def _crf() -> Finding:
    """Refine a noisy picture with every usable engine, and compare each with the one that "auto" takes."""
    chosen = resolve_engine("auto").name
    picture, truth = _stripes(_CRF_SIDE, _CRF_SIDE)
    random = np.random.default_rng(0)
    picture = np.clip(picture + random.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
    scores = random.normal(0, 1, (_CLASSES, *truth.shape)).astype(np.float32)
    np.put_along_axis(scores, truth[None].astype(np.int64), 2.0, 0)
    log_probs = scores - np.log(np.exp(scores).sum(0))
    labels, times = {}, {}
    for name, engine in ENGINES.items():
        if engine.missing():
            continue
        work = partial(engine.refine, picture, log_probs, CrfSettings())
        labels[name], times[name] = work().argmax(0), _milliseconds(work)
    agreement = min(float((each == labels[chosen]).mean()) for each in labels.values())
    before, after = (float((each == truth).mean()) for each in (log_probs.argmax(0), labels[chosen]))
    text = ", ".join(f"{name} {took:.0f} ms" for name, took in times.items())
    text += f" at {_CRF_SIDE} x {_CRF_SIDE} with {_CLASSES} classes"
    text += f"; {agreement:.2%} of pixels equal" if len(labels) > 1 else ""
    good = agreement >= _AGREE and after > before
    text = text if good else f"wrong: {text}, {after:.1%} right"
    return _finding("CRF", text, good, "Give another --crf-engine.", milliseconds=times, agreement=agreement)


def _mask() -> Finding:
    """Write a mask as `stego segment` does, and read it back."""
    coarse = np.random.default_rng(0).integers(0, _CLASSES, (_PHOTO[1] // _REGION, _PHOTO[0] // _REGION))
    labels = coarse.astype(np.uint8).repeat(_REGION, 0).repeat(_REGION, 1)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mask.png")
        took = _milliseconds(lambda: write_bytes(file, encode_mask(labels, palette(_CLASSES))))
        with Image.open(file, formats=("PNG",)) as mask:
            same = np.array_equal(np.asarray(mask), labels)
        left = [path.name for path in Path(folder).iterdir()] != ["mask.png"]
    good, size = same and not left, f"{_PHOTO[0]} x {_PHOTO[1]}"
    text = f"{size} written in {took:.1f} ms" if good else f"{size} was not read back as it was written"
    return _finding("mask", text, good, "Check the disk of the temporary folder (TMPDIR).", milliseconds=took)


# In the order of the work on a photograph.
PARTS: dict[str, Callable[[], Finding]] = {
    "decode": _decode,
    "model": _model,
    "speed": _speed,
    "CRF": _crf,
    "mask": _mask,
}
