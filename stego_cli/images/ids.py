"""Class numbers in pictures: masks and labels.

The class numbers are the values in the file: grey values of 1 to 16 bits, or palette indices, whatever their colours.
The indices of a GIF depend on the program that wrote it, so its colours count instead. A colour picture whose red,
green and blue are equal everywhere has grey values. Any other colour picture has no class numbers: its colours need a
palette. Formats that change values (JPEG and the like) are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from stego_cli.errors import PhotoError
from stego_cli.images.decode import open_photo

Ids = NDArray[Any]  # uint8 or uint16 (H, W)
Packed = NDArray[np.uint32]  # (H, W), colours as 0xRRGGBB

LARGEST_BYTE, LARGEST_ID = 255, 65535
# Pillow scales grey values of 2 and 4 bits to 0 to 255; this is the largest value in the file.
_TOPS = {"L;2": 3, "L;4": 15}
_GREY = ("L", "P", "1", "I", "I;16", "I;16B", "I;16L", "F")
_COLOUR = ("RGB", "RGBA", "LA", "PA")
_LOSSY = {"JPEG": "JPEG", "MPO": "JPEG", "JPEG2000": "JPEG 2000", "AVIF": "AVIF", "HEIF": "HEIC", "WEBP": "WebP"}
_MOST_NAMED = 6  # colours in a message
COLOUR_PICTURE = "a colour picture"  # begins the reason why a label needs a palette


def read_ids(path: Path | str) -> Ids:
    """Return the numbers in a PNG, uint8 or uint16 (H, W).

    Raises:
        PhotoError: the file is missing, broken, not a PNG, or a colour picture; its message is the reason.
    """
    with open_photo(Path(path)) as image:
        if image.format != "PNG":
            raise PhotoError(f"a {image.format} file that is named .png")
        return ids_of(image)


def ids_of(image: Image.Image) -> Ids:
    """Return the numbers in a picture that is open and not yet decoded, uint8 or uint16 (H, W).

    Raises:
        PhotoError: it is broken, of a lossy format, or a colour picture; its message is the reason.
    """
    require_lossless(image)
    top = _top_in_file(image)
    pixels = _decoded(image)
    if image.format == "GIF" and image.mode in ("P", "L") and (grey := _grey_of_palette(image)) is not None:
        pixels = grey[pixels]
    elif image.mode in _COLOUR or image.format == "GIF":
        colours = packed_colours(image)
        low = colours & 0xFF
        if (colours != low * 0x010101).any():
            raise PhotoError(f"{COLOUR_PICTURE} ({named_colours(np.unique(colours))}) without a palette file")
        pixels = low.astype(np.uint8)
    elif image.mode not in _GREY:
        raise PhotoError(f"a picture of mode {image.mode}, which has no class numbers")
    if top is not None:
        scaled_to = LARGEST_BYTE if top <= LARGEST_BYTE else LARGEST_ID
        return whole_ids(np.rint(pixels * (top / scaled_to)))
    if pixels.dtype == np.uint8:
        return pixels
    return pixels.astype(np.uint8) if pixels.dtype == bool else whole_ids(pixels)


def _grey_of_palette(image: Image.Image) -> NDArray[np.uint8] | None:
    """Return the grey value of each index, uint8 (256,), if all colours that are used are grey; else None."""
    if image.mode == "L":
        return np.arange(256, dtype=np.uint8)
    if "transparency" in image.info:
        return None
    palette = np.zeros((256, 3), dtype=np.uint8)
    own = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)[:256]
    palette[: len(own)] = own
    used = palette[np.flatnonzero(image.histogram()[:256])]
    return palette[:, 0] if (used == used[:, :1]).all() else None


def _top_in_file(image: Image.Image) -> int | None:
    """Return the largest value that the file can have if Pillow will scale its values to 255 or 65535; else None."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    raw = tiles[0].args if tiles else None
    first = raw[0] if isinstance(raw, tuple) and raw else raw
    if image.format == "PPM" and isinstance(raw, tuple) and len(raw) > 1 and isinstance(raw[1], int):
        return None if raw[1] in (LARGEST_BYTE, LARGEST_ID) else raw[1]
    return _TOPS.get(str(first))


def require_lossless(image: Image.Image) -> None:
    """Refuse a format that changes values, and a file of several pictures.

    Raises:
        PhotoError: it is one.
    """
    kind = _LOSSY.get(image.format or "")
    if image.format == "WEBP" and image.info.get("lossless"):
        kind = None
    if image.format == "TIFF" and "jpeg" in str(image.info.get("compression")):
        kind = "TIFF with JPEG compression"
    if kind is not None:
        raise PhotoError(f"a {kind} picture, whose values are not exact; save labels as PNG")
    try:
        frames = getattr(image, "n_frames", 1)
    except Exception as error:  # at a damaged second picture Pillow's readers raise anything
        raise PhotoError(f"broken: {error}" if str(error) else "broken") from error
    if frames > 1:
        raise PhotoError(f"a file of {frames} pictures; a label has one")


def packed_colours(image: Image.Image) -> Packed:
    """Return the colours of a picture, uint32 (H, W), 0xRRGGBB; fully transparent pixels are black.

    Raises:
        PhotoError: it is broken, or its pixels are transparent by several steps, so that their colours are blended.
    """
    _decoded(image)
    rgba = np.asarray(image.convert("RGBA"))
    packed: Packed = rgba[..., 0].astype(np.uint32) << 16 | rgba[..., 1].astype(np.uint32) << 8 | rgba[..., 2]
    alpha = rgba[..., 3]
    if alpha.min(initial=255) < 255:
        # A palette has its colours whatever their transparency, and so has a layer of one transparency everywhere.
        steps = 1 if image.mode in ("P", "PA") else np.count_nonzero(np.bincount(alpha.ravel(), minlength=256)[1:255])
        if steps > 1:
            raise PhotoError("partly transparent pixels, whose colours are blended; save labels without smooth edges")
        packed[alpha == 0] = 0
    return packed


def whole_ids(values: NDArray[Any]) -> Ids:
    """Return numbers of any type as uint8 or uint16; negative ones become the largest value, 255 or 65535.

    Raises:
        PhotoError: they are not whole, or above 65535.
    """
    if values.dtype.kind == "f":
        if not np.array_equal(values, np.rint(values)):  # NaN differs from itself
            raise PhotoError("values that are not whole numbers")
        values = values.astype(np.int64)
    elif values.dtype.kind not in "iub":
        raise PhotoError(f"values of type {values.dtype}, which are no class numbers")
    highest = int(values.max(initial=0))
    if highest > LARGEST_ID:
        raise PhotoError(f"it has the value {highest}; class numbers are at most {LARGEST_ID}")
    negative = values < 0 if values.dtype.kind == "i" else None
    small = highest <= LARGEST_BYTE and (values.dtype != np.uint16 or negative is not None)
    ids = values.astype(np.uint8 if small else np.uint16)
    if negative is not None and negative.any():
        ids[negative] = LARGEST_BYTE if small else LARGEST_ID
    return ids


def named_colours(packed: NDArray[np.uint32]) -> str:
    """Return colours as text: the first few, and how many more there are."""
    names = ", ".join(f"#{int(colour):06x}" for colour in packed[:_MOST_NAMED])
    more = len(packed) - _MOST_NAMED
    return f"{names} and {more} more colours" if more > 0 else names


def resize_ids(ids: Ids, height: int, width: int) -> Ids:
    """Return `ids` at another size: each new pixel has the value of the old pixel that contains its centre."""
    return np.asarray(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))


def _decoded(image: Image.Image) -> NDArray[Any]:
    try:
        return np.asarray(image)
    except MemoryError as error:
        raise PhotoError("not enough memory to decode it") from error
    except Exception as error:
        raise PhotoError(f"broken: {error}" if str(error) else "broken") from error
