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

STEPS = 15  # of the probabilities of a part, up to 1, two in a byte: more change next to nothing


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


def encode_part(
    labels: NDArray[np.uint8], log_probs: NDArray[np.float32] | None, values: NDArray[np.uint8] | None = None
) -> bytes:
    """Return a PNG of three channels: labels, the next probable ones, and the probabilities of both, 4 bits each.

    Args:
        labels: uint8 (H, W).
        log_probs: float32 (K, h, w), of any size; None: all are taken for sure.
        values: uint8 (K,), the label of each class; None: its own number.
    """
    shape = (labels.shape[0], labels.shape[1])
    following, steps, steps_after = labels, np.full(labels.shape, STEPS, np.uint8), np.zeros(labels.shape, np.uint8)
    if log_probs is not None:
        values = np.arange(len(log_probs), dtype=np.uint8) if values is None else values
        first, highest, second, next_highest = _two_likeliest(log_probs)
        steps = np.maximum(_steps_at(highest, shape), 1)
        firsts, seconds = (_enlarged(values[chosen], shape) for chosen in (first, second))
        # Between two pixels of the smaller size the label may be the second one of the nearer.
        following = np.where(seconds == labels, firsts, seconds)
        steps_after = np.minimum(_steps_at(next_highest, shape), steps - 1)  # alone, the label is the first
    stream = io.BytesIO()
    Image.fromarray(np.stack([labels, following, steps << 4 | steps_after], 2)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _two_likeliest(
    log_probs: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    """Return the class of the largest value of each pixel, and that value, and the next class and its, (h, w) each."""
    first, _ = likeliest(log_probs)
    second, next_highest = np.zeros_like(first), np.full(first.shape, -np.inf, np.float32)
    for index, plane in enumerate(log_probs):
        better = (plane > next_highest) & (first != index)
        second[better] = index
        np.copyto(next_highest, plane, where=better)
    return first, log_probs.max(0), second, next_highest


def _steps_at(log_probs: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return probabilities in steps at another size, uint8 (H, W)."""
    values: NDArray[np.float32] = np.exp(log_probs)
    if values.shape != shape:
        values = np.asarray(Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR))
    steps: NDArray[np.uint8] = np.clip(np.rint(values * STEPS), 0, STEPS).astype(np.uint8)
    return steps


def _enlarged(labels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return labels at another size, by the nearest pixel."""
    if labels.shape == shape:
        return labels
    return np.asarray(Image.fromarray(labels).resize(shape[::-1], Image.Resampling.NEAREST))


def decode_part(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Return labels, their steps, the next probable labels, and theirs, as `encode_part` wrote them, uint8 (H, W) each.

    Raises:
        ValueError: they are not what it wrote.
    """
    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError("not the labels of a part")
    labels, following, steps = (np.ascontiguousarray(pixels[..., channel]) for channel in range(3))
    return labels, steps >> np.uint8(4), following, steps & np.uint8(STEPS)


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
