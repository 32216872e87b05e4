"""Photographs to RGB bytes, as a viewer shows them, at the resolution the model works at.

What becomes of each kind of picture is in docs/reference/pictures.md: EXIF orientation is applied, colour profiles are
not; greyscale, palette, CMYK and LAB become RGB; more than 8 bits are stretched to 8 (`images.stretch`); transparency
is laid over white; of an animation the first frame is taken, of several pages the first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from stego_cli.errors import PhotoError
from stego_cli.images.passes import resized
from stego_cli.images.readers.bands import RGB_NAMES, ImageBands, indices_of
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import MAX_PIXELS, FileOrBytes, quiet, reason_of
from stego_cli.images.readers.table import open_any, open_picture
from stego_cli.images.stretch import NoData, is_whole, range_for, to_8_bits
from stego_cli.reading import BandChoice, Reading

__all__ = [
    "MAX_PIXELS",
    "Decoded",
    "Rgb",
    "decode",
    "decode_whole",
    "nearest_square",
    "open_photo",
    "photo_size",
    "to_rgb",
    "work_size",
]

_MAX_ASPECT = 8  # a strip longer than this is worked at less than `res`, so that memory stays bounded
_UPRIGHT = {  # by EXIF orientation: what turns a stored picture as a viewer shows it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Rgb = NDArray[np.uint8]  # (H, W, 3)
Content = TypeVar("Content")


@dataclass(frozen=True)
class Decoded:
    """A photograph at work size.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, H and W multiples of the patch.
        size: the photograph's own width and height, after EXIF orientation.
        nodata: bool, of the photograph's own height and width: True where it has no value. None: it has one everywhere.
        frames: number of pictures in the file, of which the first one was taken.
        truncated: the file is cut short, and what was there has been taken.
    """

    pixels: Rgb
    size: tuple[int, int]
    nodata: NoData | None = None
    frames: int = 1
    truncated: bool = False


def work_size(width: int, height: int, res: int, patch: int) -> tuple[int, int]:
    """Return the width and height at which a photograph is worked: shorter side near `res`, whole patches, aspect kept.

    A photograph longer than 8 times its shorter side gets a longer side of 8 `res` and at least one patch across.
    """
    scale = min(res / min(width, height), _MAX_ASPECT * res / max(width, height))
    return _whole_patches(width * scale, patch), _whole_patches(height * scale, patch)


def _whole_patches(length: float, patch: int) -> int:
    return max(1, round(length / patch)) * patch


def open_photo(path: Path) -> Image.Image:
    """Open a photograph with Pillow, lazily, refusing what cannot or should not be decoded.

    Raises:
        PhotoError: with a reason that fits on a line.
    """
    return open_picture(path)


def photo_size(path: Path) -> tuple[int, int]:
    """Return width and height as a viewer shows them, from the header where that has the orientation.

    Raises:
        PhotoError: the file cannot be opened.
    """
    try:
        return _size(path, bare=False)
    except PhotoError as error:
        try:
            return _size(path, bare=True)
        except PhotoError:
            raise error from None


def _size(path: Path, bare: bool) -> tuple[int, int]:
    with open_any(path, bare) as picture, quiet():
        try:
            return picture.viewed_size
        except Exception as error:  # a PNG is decoded for its EXIF
            raise PhotoError(reason_of(error)) from error


@dataclass(frozen=True)
class _Whole(Generic[Content]):
    """What was taken of a picture as a viewer shows it, and what else is known of it."""

    content: Content
    size: tuple[int, int]
    nodata: NoData | None
    frames: int
    truncated: bool = False


def decode(source: FileOrBytes, res: int, patch: int, reading: Reading = Reading()) -> Decoded:
    """Decode a photograph at work size.

    Args:
        source: the file, or its content.
        res: shorter side at work, pixels.
        patch: the sides are multiples of it, pixels.
        reading: how pictures that are not RGB of 8 bits become that.

    Raises:
        PhotoError: it cannot be decoded whole.
    """

    def take(image: Image.Image, size: tuple[int, int]) -> Rgb:
        return resized(image, work_size(*size, res, patch))

    whole = _decoded(source, _Wish(reading, take, (res, patch)))
    return Decoded(whole.content, whole.size, whole.nodata, whole.frames, whole.truncated)


def decode_whole(source: FileOrBytes, reading: Reading = Reading()) -> Image.Image:
    """Decode a photograph, a file or its content, at its own size, RGB, as a viewer shows it.

    Raises:
        PhotoError: it cannot be decoded whole.
    """
    return _decoded(source, _Wish(reading, lambda image, _: image.copy())).content


@dataclass(frozen=True)
class _Wish(Generic[Content]):
    """What is asked for.

    Attributes:
        reading: how pictures that are not RGB of 8 bits become that.
        take: what is taken of the picture, RGB as a viewer shows it, and the photograph's own size. The picture is the
            photograph at that size or, where `work` is given, a JPEG at no less than twice the work size. It is closed
            afterwards.
        work: shorter side at work, and patch, pixels; None: nothing but the photograph's own size will do.
    """

    reading: Reading
    take: Callable[[Image.Image, tuple[int, int]], Content]
    work: tuple[int, int] | None = None


def _decoded(source: FileOrBytes, wish: _Wish[Content]) -> _Whole[Content]:
    """Decode a photograph; if that fails, without its metadata; then, if that is accepted, what there is of it.

    Raises:
        PhotoError: all of it failed; the reason is that of the first time.
    """
    strict = replace(wish, reading=replace(wish.reading, accept_truncated=False))
    try:
        return _attempt(source, strict, bare=False)
    except PhotoError as error:
        first = error
    try:
        return _attempt(source, strict, bare=True)
    except PhotoError:
        pass
    if wish.reading.accept_truncated:
        for bare in (False, True):
            try:
                with _truncated_accepted():
                    return replace(_attempt(source, wish, bare), truncated=True)
            except PhotoError:
                continue
    raise first


_TRUNCATED = threading.Lock()


@contextmanager
def _truncated_accepted() -> Iterator[None]:
    """Let Pillow take files that are cut short. That is one switch for all threads, so one goes through at a time."""
    with _TRUNCATED:
        before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _attempt(source: FileOrBytes, wish: _Wish[Content], bare: bool) -> _Whole[Content]:
    with open_any(source, bare) as picture, quiet():
        try:
            image, nodata = _pixels(picture, wish.reading, wish.work)
            size = picture.viewed_size
            return _Whole(wish.take(image, size), size, nodata, picture.frames)
        except PhotoError:
            raise
        except Exception as error:  # as many kinds as there are decoders
            raise PhotoError(reason_of(error)) from error


def _pixels(picture: OpenPicture, reading: Reading, work: tuple[int, int] | None) -> tuple[Image.Image, NoData | None]:
    """Return the picture as a viewer shows it, and where it has no value."""
    image, bands = picture.image, picture.bands
    if bands is not None:
        limits = range_for(bands, reading)
        if image is None or reading.bands or not is_whole(bands.info, limits):
            rgb, nodata = to_8_bits(bands, reading, limits)
            turn = _UPRIGHT.get(picture.orientation)
            if turn is not None:
                rgb = rgb.transpose(turn)
                nodata = None if nodata is None else np.asarray(Image.fromarray(nodata).transpose(turn))
            return rgb, nodata
    assert image is not None  # it has bands or an image
    if work is not None and image.format == "JPEG":
        # Scaled decoding: the decoder leaves out frequencies that resizing would drop anyway. Twice the work size
        # keeps the resampling filter's own work.
        width, height = work_size(*image.size, *work)
        image.draft(None, (2 * width, 2 * height))
    image.load()
    turn = _UPRIGHT.get(picture.orientation)
    if turn is not None and image.format != "TIFF":  # Pillow turns TIFFs as it loads them
        image = image.transpose(turn)
    return _of_bands(image, reading.bands) if reading.bands else to_rgb(image), None


def _of_bands(image: Image.Image, bands: BandChoice) -> Image.Image:
    """Return the chosen channels of a picture of 8 bits as RGB."""
    if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    channels = image.split()
    names = RGB_NAMES if image.mode.startswith("RGB") else ()
    chosen = [channels[index] for index in indices_of(bands, len(channels), names)]
    return Image.merge("RGB", chosen if len(chosen) == 3 else 3 * chosen)


def nearest_square(image: Image.Image, side: int) -> Image.Image:
    """Bring the shorter side to `side` by the nearest pixel and cut out the centre, rounding as the original does."""
    short = min(image.size)
    width, height = (side if length == short else int(side * length / short) for length in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.resize((width, height), Image.Resampling.NEAREST).crop((left, top, left + side, top + side))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to RGB, as this module's docstring says; integers of 16 bits by their whole range.

    What is RGB already is returned as it is.

    Raises:
        PhotoError: no pixel of a floating-point picture has a value.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        return Image.fromarray(np.clip(values / 65535.0 * 255.0 + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        bands, reading = ImageBands(image, "float"), Reading()
        return to_8_bits(bands, reading, range_for(bands, reading))[0]
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
