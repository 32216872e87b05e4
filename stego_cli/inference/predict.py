"""The one recipe from a photograph to its labels: decode at work size, infer, refine, enlarge, choose.

    decode(photo, res, patch)          Decoded: uint8 (H, W, 3) at work size, and the photograph's own size
    infer(session, pixels, probes)     log-probabilities, float32 (K, H, W) of each probe; in tiles where there are many
                                       patches; refused where a value is not finite
    refiner(pixels, log_probs)         the same, sharper along the photograph's edges
    labels_at(log_probs, size)         uint8 (H, W) at the photograph's own size

`stego segment`, its dry run, `stego evaluate` and `stego_cli.Model` all go this way. A run over many photographs takes
the steps one by one, since they may happen in different threads or processes; `predict` takes them at once.
(`inference.devices.gpu_pipeline` does the same in the memory of a GPU.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.crf import Engine, resolve_engine
from stego_cli.errors import ModelError, PhotoError
from stego_cli.images.decode import Decoded, Rgb, work_size
from stego_cli.images.masks import apply_nodata, labels_at
from stego_cli.images.passes import resized
from stego_cli.inference.session import LogProbs, Session, is_out_of_memory
from stego_cli.inference.tiles import in_tiles
from stego_cli.reading import Reading
from stego_cli.settings import CrfSettings, Decoder, Probe

NOT_FINITE = "the model gives values for it that are not finite"


@dataclass(frozen=True)
class Refiner:
    """A dense CRF and the engine that computes it; can be pickled."""

    settings: CrfSettings
    engine: Engine

    def __call__(self, pixels: Rgb, log_probs: LogProbs) -> LogProbs:
        """Refine float32 (K, H, W) along the edges of `pixels`, uint8 (H, W, 3)."""
        return self.engine.refine(pixels, log_probs, self.settings)


@dataclass(frozen=True)
class Recipe:
    """What decides a photograph's labels, given the model.

    Attributes:
        res: shorter side at work, pixels.
        probe: whose classes.
        refiner: None: the labels are those of the model's own log-probabilities.
        reading: how pictures that are not RGB of 8 bits become that.
        decoder: where JPEGs are decoded and resized, "cpu" or "gpu"; bytes differ a little.
    """

    res: int
    probe: Probe
    refiner: Refiner | None
    reading: Reading = Reading()
    decoder: Decoder = "cpu"


@dataclass(frozen=True)
class Labelled:
    """What the recipe makes of a photograph.

    Attributes:
        log_probs: float32 (K, h, w) at work size, refined if the recipe refines.
        labels: uint8 (H, W) at the photograph's own size; 255 where it has no value.
    """

    log_probs: LogProbs
    labels: NDArray[np.uint8]


def choose_refiner(crf: bool, engine: str, on_gpu: bool, note: Callable[[str], None] | None = None) -> Refiner | None:
    """Return what refines, or None without a CRF.

    Args:
        crf: whether to refine.
        engine: one of stego_cli.crf.CHOICES.
        on_gpu: whether the network runs on an NVIDIA GPU.
        note: called with a sentence where another engine than the fastest has to serve.

    Raises:
        UsageError: there is no such engine, or it cannot be used here.
    """
    return Refiner(CrfSettings(), resolve_engine(engine, on_gpu, note)) if crf else None


def at_work_size(picture: Image.Image, res: int, patch: int) -> Decoded:
    """Return an RGB picture in memory as `images.decode.decode` returns one from a file."""
    size = work_size(*picture.size, res, patch)
    return Decoded(resized(picture, size), picture.size)


def infer(session: Session, pixels: Rgb, probes: Sequence[Probe]) -> dict[Probe, LogProbs]:
    """Return each probe's log-probabilities of one photograph, float32 (K, H, W).

    Args:
        session: the model.
        pixels: uint8 (H, W, 3), H and W multiples of the patch.
        probes: those asked for; the network runs once for all of them.

    Raises:
        PhotoError: the model cannot run on it, or gives values that are not finite.
        ModelError: it gives something else than the contract says.
    """
    try:
        batches = in_tiles(pixels[None], session.info.patch, lambda images: session.run(images, probes))
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class but this
        raise PhotoError(why_not_run(error)) from error
    if not all(np.isfinite(log_probs).all() for log_probs in batches):
        raise PhotoError(NOT_FINITE)
    return {probe: log_probs[0] for probe, log_probs in zip(probes, batches, strict=True)}


def predict(session: Session, decoded: Decoded, recipe: Recipe) -> Labelled:
    """Take all steps after decoding.

    Raises:
        PhotoError: the model cannot run on it, or gives values that are not finite.
    """
    log_probs = infer(session, decoded.pixels, [recipe.probe])[recipe.probe]
    if recipe.refiner is not None:
        log_probs = recipe.refiner(decoded.pixels, log_probs)
    return Labelled(log_probs, apply_nodata(labels_at(log_probs, decoded.size), decoded.nodata))


def why_not_run(error: Exception) -> str:
    """Return in a line why the network did not run on a photograph."""
    if is_out_of_memory(error):
        return "not enough memory for the model at this size; a smaller work resolution takes less"
    return f"the model could not run on it: {(str(error) or type(error).__name__).splitlines()[0]}"
