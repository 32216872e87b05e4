"""Photographs and labels from the content of a file, which may come out of an archive."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stego_cli.classes import VOID
from stego_cli.datasets.inventory import ClassMap
from stego_cli.errors import PhotoError
from stego_cli.images.decode import MAX_PIXELS, to_rgb
from stego_cli.images.ids import ids_of


def open_picture(content: bytes) -> Image.Image:
    """Open a picture, lazily, and refuse one that is too large.

    Raises:
        PhotoError: with a reason that fits on a line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is the one that counts
            image = Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError("the file is empty" if not content else "not a picture that Pillow can decode") from error
    except Exception as error:  # at a damaged header Pillow's readers raise anything
        raise PhotoError(str(error) or type(error).__name__) from error
    if image.width * image.height > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels ({image.width} x {image.height})")
    return image


def rgb_of(content: bytes) -> Image.Image:
    """Decode a photograph, RGB, in the orientation in which a viewer shows it.

    Raises:
        PhotoError: it cannot be decoded as a whole.
    """
    image = open_picture(content)
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    except Exception as error:
        raise PhotoError(str(error) or type(error).__name__) from error


def class_map(content: bytes, mapping: NDArray[np.uint8] | None = None) -> ClassMap:
    """Decode a label: the numbers in a picture, changed to classes by `mapping`, uint8 (256,), if there is one.

    Raises:
        PhotoError: it cannot be decoded, or holds a number above 255.
    """
    ids = ids_of(open_picture(content))
    if ids.dtype != np.uint8:
        if int(ids.max(initial=0)) > VOID:
            raise PhotoError(f"it has class {int(ids.max())}; classes are 0 to 254")
        ids = ids.astype(np.uint8)
    return ids if mapping is None else mapping[ids]


def mapping_of(classes: dict[int, int]) -> NDArray[np.uint8]:
    """Return label value to class, uint8 (256,); values that are not listed are void."""
    mapping = np.full(256, VOID, dtype=np.uint8)
    for value, index in classes.items():
        mapping[value] = index
    return mapping
