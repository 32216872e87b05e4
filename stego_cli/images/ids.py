"""Masks and labels from PNG files, as class numbers.

The class numbers are the values in the file: grey values of 1, 2, 4, 8 or 16 bits, or palette indices, whatever their
colours. A colour picture has no class numbers and is refused.
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

# Pillow scales grey values of 2 and 4 bits to 0 to 255; dividing by this restores them.
_SPREAD = {"L;2": 85, "L;4": 17}
_NOT_A_MASK = "not a mask: a {} picture, where class numbers (8- or 16-bit grey, or a palette) are needed"
_KINDS = {"RGB": "colour", "RGBA": "colour", "LA": "transparent grey"}


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
        PhotoError: it is broken or a colour picture; its message is the reason.
    """
    if image.mode not in ("L", "P", "1", "I", "I;16", "I;16B"):
        raise PhotoError(_NOT_A_MASK.format(_KINDS.get(image.mode, image.mode)))
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    raw = tiles[0].args if tiles else None
    try:
        ids = np.asarray(image)
    except MemoryError as error:
        raise PhotoError("not enough memory to decode it") from error
    except Exception as error:
        raise PhotoError(f"broken: {error}" if str(error) else "broken") from error
    if ids.dtype == np.uint8:
        spread = _SPREAD.get(str(raw[0] if isinstance(raw, tuple) and raw else raw))
        return ids // np.uint8(spread) if spread else ids
    return ids.astype(np.uint8 if ids.dtype == bool else np.uint16)


def resize_ids(ids: Ids, height: int, width: int) -> Ids:
    """Return `ids` at another size: each new pixel has the value of the old pixel that contains its centre."""
    return np.asarray(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))
