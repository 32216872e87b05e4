"""Photographs and labels from the content of a file, which may come out of an archive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import VOID
from stego_cli.datasets.inventory import ClassMap
from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode_whole
from stego_cli.images.ids import ids_of
from stego_cli.images.readers.table import open_picture


def rgb_of(content: bytes) -> Image.Image:
    """Decode a photograph, RGB, in the orientation in which a viewer shows it.

    Raises:
        PhotoError: it cannot be decoded as a whole.
    """
    return decode_whole(content)


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
