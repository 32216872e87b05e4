"""Photographs to RGB bytes, as a viewer shows them, at the resolution the model works at.

What becomes of unusual files: EXIF orientation is applied; greyscale, palette, CMYK and LAB become RGB; 16-bit
greyscale is scaled to 8 bits; transparency is laid over white; of an animation the first frame is taken.
"""

from __future__ import annotations

import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stego_cli.errors import PhotoError
from stego_cli.images.discover import UNDECODED

MAX_PIXELS = 178_956_970  # Pillow's own limit, 540 MB of RGB: a larger header is refused before memory is taken
_MAX_ASPECT = 8  # a strip longer than this is worked at less than `res`, so that memory stays bounded
_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 0x0112, 0x0100, 0x0101
_SIDEWAYS = frozenset({5, 6, 7, 8})

Rgb = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True)
class Decoded:
    """A photograph at work size.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, H and W multiples of the patch.
        size: the photograph's own width and height, after EXIF orientation.
    """

    pixels: Rgb
    size: tuple[int, int]


def work_size(width: int, height: int, res: int, patch: int) -> tuple[int, int]:
    """Return the width and height at which a photograph is worked: shorter side near `res`, whole patches, aspect kept.

    A photograph longer than 8 times its shorter side gets a longer side of 8 `res` and at least one patch across.
    """
    scale = min(res / min(width, height), _MAX_ASPECT * res / max(width, height))
    return _whole_patches(width * scale, patch), _whole_patches(height * scale, patch)


def _whole_patches(length: float, patch: int) -> int:
    return max(1, round(length / patch)) * patch


def open_photo(path: Path) -> Image.Image:
    """Open a photograph lazily, refusing what cannot or should not be decoded.

    Raises:
        PhotoError: with a reason that fits on a line.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise PhotoError("not a regular file")  # opening a named pipe would wait for ever
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is the one that counts
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except UnidentifiedImageError as error:
        if path.suffix.lower() in UNDECODED:
            raise PhotoError(f"no decoder for {path.suffix} files; convert it to JPEG or PNG") from error
        empty = about.st_size == 0
        raise PhotoError("the file is empty" if empty else "not a picture that Pillow can decode") from error
    except PhotoError:
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them into
        raise PhotoError(_reason(error)) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels ({image.width} x {image.height})")
    if not image.width * image.height:
        image.close()
        raise PhotoError(f"a picture without pixels ({image.width} x {image.height})")
    return image


def photo_size(path: Path) -> tuple[int, int]:
    """Return width and height as a viewer shows them, from the header alone.

    Raises:
        PhotoError: the file cannot be opened.
    """
    with open_photo(path) as image:
        return _viewed_size(image)


def decode(path: Path, res: int, patch: int) -> Decoded:
    """Decode a photograph at work size.

    Raises:
        PhotoError: it cannot be decoded whole.
    """
    with open_photo(path) as image:
        try:
            size = _viewed_size(image)
            if image.format == "JPEG":
                # Scaled decoding: the decoder leaves out frequencies that resizing would drop anyway. Twice the work
                # size keeps the resampling filter's own work.
                width, height = work_size(*image.size, res, patch)
                image.draft(None, (2 * width, 2 * height))
        except Exception as error:
            raise PhotoError(_reason(error)) from error
        rgb = _viewed_rgb(image)
    resized = rgb.resize(work_size(*size, res, patch), Image.Resampling.BILINEAR)
    return Decoded(np.asarray(resized), size)


def decode_whole(path: Path) -> Image.Image:
    """Decode a photograph at its own size, RGB, as a viewer shows it.

    Raises:
        PhotoError: it cannot be decoded whole.
    """
    with open_photo(path) as image:
        return _viewed_rgb(image)


def nearest_square(image: Image.Image, side: int) -> Image.Image:
    """Bring the shorter side to `side` by the nearest pixel and cut out the centre, rounding as the original does."""
    short = min(image.size)
    width, height = (side if length == short else int(side * length / short) for length in image.size)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return image.resize((width, height), Image.Resampling.NEAREST).crop((left, top, left + side, top + side))


def _viewed_rgb(image: Image.Image) -> Image.Image:
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    except MemoryError as error:
        raise PhotoError("not enough memory to decode it") from error
    except Exception as error:
        raise PhotoError(_reason(error)) from error


def _viewed_size(image: Image.Image) -> tuple[int, int]:
    try:
        sideways = image.getexif().get(_ORIENTATION) in _SIDEWAYS
    except Exception as error:
        raise PhotoError(_reason(error)) from error
    if image.format == "TIFF":  # Pillow turns some of these by itself, `size` included: the tags say what is stored
        width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]  # type: ignore[attr-defined]
    else:
        width, height = image.size
    return (height, width) if sideways else (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any of Pillow's modes to RGB, as this module's docstring says."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(float(values.max(initial=0.0)), 1e-9)
        return Image.fromarray(np.clip(values / top * 255.0 + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return text[0] if text and text[0] else type(error).__name__
