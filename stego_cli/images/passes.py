"""Passes over whole pictures in C++ (folder `native`), without the GIL; in Pillow and numpy where it is not compiled.

Both give the same bytes. The arithmetic is Pillow's bilinear filter: an output pixel is a weighted mean of those around
it, over twice the distance of two pixels of the smaller picture; along rows first, rounded after each direction.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

try:
    from stego_cli.images import _native
except ImportError:
    HAS_NATIVE = False
else:
    HAS_NATIVE = True

_BAND = 256  # rows
_HELD = 64 << 20  # bytes of probabilities at work size that are held at once, or one plane


def resized(image: Image.Image, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an RGB picture at another size, uint8 (H, W, 3).

    Args:
        image: of mode RGB; it is loaded if it is not yet.
        size: width and height.
    """
    if HAS_NATIVE and _rows_first(image.size, size):
        try:
            _, pixels = image.__arrow_c_array__()  # Pillow's own memory
        except ValueError:  # a large picture, of which Pillow keeps parts in different places
            pass
        else:
            out = np.empty((size[1], size[0], 3), np.uint8)
            _native.resize(pixels, image.size[::-1], out, size[::-1])
            return out
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def likeliest(log_probs: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """Return each pixel's class of the largest value, uint8 (h, w), and the classes that have a pixel, rising.

    Args:
        log_probs: float32 (K, h, w), K at most 256.
    """
    if not HAS_NATIVE:
        chosen = log_probs.argmax(0).astype(np.uint8)
        return chosen, np.unique(chosen).astype(np.intp)
    classes, *shape = log_probs.shape
    chosen, wins = np.empty(shape, np.uint8), np.zeros(256, np.uint8)
    _native.choose(np.ascontiguousarray(log_probs, np.float32), chosen, wins, (classes, chosen.size))
    return chosen, wins.nonzero()[0]


def likeliest_enlarged(
    log_probs: NDArray[np.float32], classes: NDArray[np.intp], size: tuple[int, int], held: int = _HELD
) -> NDArray[np.uint8]:
    """Return the class whose probability is the largest once it is resized, uint8 (H, W); the first of equal ones.

    Args:
        log_probs: float32 (K, h, w).
        classes: those that take part, rising.
        size: width and height.
        held: bytes of probabilities that are held at once.
    """
    (width, height), (high, wide) = size, log_probs.shape[1:]
    labels = np.full((height, width), classes[0], np.uint8)
    best = np.full((height, width), -1, np.float32)
    if not (HAS_NATIVE and _rows_first((wide, high), size)):
        for index in classes:
            _take_larger(np.exp(log_probs[index]), index, best, labels)
        return labels
    together = max(1, held // (4 * high * wide))
    planes = np.empty((min(together, len(classes)), high, wide), np.float32)
    for start in range(0, len(classes), together):
        part = classes[start : start + together]
        for plane, index in zip(planes, part, strict=False):
            np.exp(log_probs[index], out=plane)
        ids = part.astype(np.uint8)
        _native.enlarge(planes[: len(part)], ids, best, labels, (len(part), high, wide, height, width))
    return labels


def _rows_first(size: tuple[int, int], new: tuple[int, int]) -> bool:
    """Return whether Pillow resizes along rows first, as the native code does; Pillow 13 looks for a cheaper order."""
    (width, height), (new_width, new_height) = size, new
    return height <= new_height or height - new_height <= 2 * (width - new_width)


def _take_larger(plane: NDArray[np.float32], index: int, best: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
    height, width = labels.shape
    enlarged = Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)
    for top in range(0, height, _BAND):  # numpy's view of a whole plane would cost two copies of it
        rows = slice(top, min(top + _BAND, height))
        values = np.asarray(enlarged.crop((0, rows.start, width, rows.stop)))
        labels[rows][values > best[rows]] = index
        np.maximum(best[rows], values, out=best[rows])


def counts(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the number of pixels of each value, int64 (256)."""
    if not HAS_NATIVE:
        return np.bincount(labels.ravel(), minlength=256).astype(np.int64)
    found = np.zeros(256, np.int64)
    _native.count(np.ascontiguousarray(labels), found, labels.size)
    return found


def replaced(labels: NDArray[np.uint8], values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return labels, uint8 (H, W), with values[i] in place of i; values: uint8 (K), for labels below K."""
    table = bytes(values).ljust(256, b"\0")
    return np.frombuffer(labels.tobytes().translate(table), np.uint8).reshape(labels.shape)
