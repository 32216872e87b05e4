"""Masks: palette PNGs whose pixel values are class indices, and overlays to look at."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import VOID
from stego_cli.images.palette_png import palette_png
from stego_cli.images.passes import likeliest, likeliest_enlarged
from stego_cli.palette import Colour


def encode_mask(labels: NDArray[np.uint8], colours: list[Colour]) -> bytes:
    """Return a palette PNG of `labels`, uint8 (H, W); the same labels give the same bytes."""
    return palette_png(labels, _palette(labels, colours))


def encode_overlay(rgb: Image.Image, labels: NDArray[np.uint8], colours: list[Colour]) -> bytes:
    """Return a JPEG of the photograph with the classes' colours over it, at the size of `labels`."""
    stream = io.BytesIO()
    overlay_image(rgb, labels, colours).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def overlay_image(rgb: Image.Image, labels: NDArray[np.uint8], colours: list[Colour]) -> Image.Image:
    """Return the photograph with the classes' colours over it, RGB at the size of `labels`."""
    coloured = mask_image(labels, colours).convert("RGB")
    return Image.blend(rgb.resize(coloured.size), coloured, 0.55)


def encode_part(labels: NDArray[np.uint8], log_probs: NDArray[np.float32] | None) -> bytes:
    """Return a PNG of two channels: labels, and the probability of each in steps of 1/255, at least one.

    Args:
        labels: uint8 (H, W).
        log_probs: float32 (K, h, w), of any size; None: all are taken for sure.
    """
    surety = np.full(labels.shape, 255, np.uint8)
    if log_probs is not None:
        best = np.exp(log_probs.max(0), dtype=np.float32)
        if best.shape != labels.shape:
            best = np.asarray(Image.fromarray(best).resize(labels.shape[::-1], Image.Resampling.BILINEAR))
        surety = np.clip(np.rint(best * 255), 1, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.stack([labels, surety], 2)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def decode_part(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the labels and probabilities that `encode_part` wrote, uint8 (H, W) each.

    Raises:
        ValueError: they are not what it wrote.
    """
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 2:
        raise ValueError("not the labels of a part")
    return pixels[..., 0], pixels[..., 1]


def mask_image(labels: NDArray[np.uint8], colours: list[Colour]) -> Image.Image:
    """Return a palette picture of `labels`, uint8 (H, W)."""
    image = Image.fromarray(labels)
    image.putpalette(_palette(labels, colours))  # turns "L" into "P", values kept
    return image


def _palette(labels: NDArray[np.uint8], colours: list[Colour]) -> bytes:
    if len(colours) <= VOID and labels.max() == VOID:
        colours = [*colours, *[(0, 0, 0)] * (VOID + 1 - len(colours))]  # a value beyond its palette makes a PNG broken
    return bytes(channel for colour in colours for channel in colour)


def apply_nodata(labels: NDArray[np.uint8], nodata: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """Return labels with 255 (void) where a photograph has no value.

    Args:
        labels: uint8 (H, W), at the photograph's own size.
        nodata: bool (H, W), as `Decoded.nodata`; None: it has one everywhere.
    """
    return labels if nodata is None else np.where(nodata, np.uint8(VOID), labels)


def labels_at(log_probs: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the most probable class of every pixel at a photograph's own size.

    Probabilities are enlarged bilinearly before the choice, which gives smooth borders where enlarging the choice would
    give steps. Only classes that win somewhere at work size take part, and nothing of a class is kept at the larger
    size, so that memory stays at a few bytes a pixel whatever the number of classes.

    Args:
        log_probs: float32 (K, h, w), K at most 256.
        size: width and height.

    Returns:
        uint8 (H, W).
    """
    chosen, classes = likeliest(log_probs)
    if chosen.shape == (size[1], size[0]):
        return chosen
    if len(classes) == 1:
        return np.full((size[1], size[0]), classes[0], np.uint8)
    return likeliest_enlarged(log_probs, classes, size)
