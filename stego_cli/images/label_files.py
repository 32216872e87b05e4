"""Label files of all formats, from their content: a table by the suffix of the name.

Pictures are recognised by their content, so a JPEG that is named .png is refused as a JPEG. Arrays are read without
pickle.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from stego_cli.errors import PhotoError
from stego_cli.images.arrays import ids_in_mat, ids_in_npy, ids_in_npz
from stego_cli.images.decode import MAX_PIXELS
from stego_cli.images.ids import Ids, Packed, ids_of, packed_colours, require_lossless
from stego_cli.palette import Colour
from stego_cli.regular_file import read_regular

_LARGEST = 1 << 30  # bytes
# Formats that Pillow may try. Without a list it also starts other programs, such as Ghostscript for EPS.
_FORMATS = ("PNG", "TIFF", "GIF", "BMP", "PPM", "WEBP", "JPEG", "JPEG2000")


@dataclass(frozen=True)
class LabelFile:
    """A label file that is open.

    Attributes:
        name: for messages.
        picture: Pillow's, not yet decoded; None for an array.
        array: uint8 or uint16 (H, W); None for a picture.
    """

    name: str
    picture: Image.Image | None = None
    array: Ids | None = None

    @property
    def in_colour(self) -> bool:
        """Whether its pixels have colours instead of numbers; they may all be grey."""
        return self.picture is not None and (
            self.picture.mode in ("RGB", "RGBA", "LA", "PA") or self.picture.format == "GIF"
        )

    def ids(self) -> Ids:
        """Return the numbers, uint8 or uint16 (H, W).

        Raises:
            PhotoError: it is broken, of a lossy format, or a colour picture.
        """
        if self.array is not None:
            return self.array
        assert self.picture is not None
        return ids_of(self.picture)

    def colours(self) -> Packed:
        """Return the colours, uint32 (H, W), 0xRRGGBB.

        Raises:
            PhotoError: it is broken, of a lossy format, or has none.
        """
        if self.picture is None:
            raise PhotoError("an array, which has numbers and no colours")
        require_lossless(self.picture)
        return packed_colours(self.picture)


def _array(read: Callable[[bytes], Ids]) -> Callable[[bytes, str], LabelFile]:
    return lambda content, name: LabelFile(name, array=read(content))


def _picture(content: bytes, name: str) -> LabelFile:
    return LabelFile(name, picture=open_label_picture(content))


# By suffix in small letters. JPEG and the like are in it so that they are refused with a reason.
LABEL_READERS: dict[str, Callable[[bytes, str], LabelFile]] = {
    **dict.fromkeys((".png", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".pgm", ".pbm", ".ppm", ".pnm"), _picture),
    ".npy": _array(ids_in_npy),
    ".npz": _array(ids_in_npz),
    ".mat": _array(ids_in_mat),
}
LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".avif", ".heic", ".heif"})


def open_label(content: bytes, name: str) -> LabelFile:
    """Open a label file of any format in the table.

    Raises:
        PhotoError: it is broken, empty, too large, or of another format, with a reason that fits on a line.
    """
    suffix = Path(name).suffix.lower()
    if not content:
        raise PhotoError("the file is empty")
    if len(content) > _LARGEST:
        raise PhotoError(f"a file of {len(content) / 1e9:.1f} GB")
    if suffix in LOSSY_SUFFIXES:
        return _picture(content, name)
    if suffix not in LABEL_READERS:
        raise PhotoError(f"a {suffix or 'file without suffix'} file, which is no format of labels")
    return LABEL_READERS[suffix](content, name)


def read_label(path: Path | str) -> LabelFile:
    """Open a label file.

    Raises:
        PhotoError: as `open_label`, or it cannot be read.
    """
    file = Path(path)
    try:
        content = read_regular(file, _LARGEST)
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error
    return open_label(content, file.name)


def open_label_picture(content: bytes) -> Image.Image:
    """Open a picture of one of the formats of labels, lazily, or of JPEG, which is refused when it is decoded.

    Raises:
        PhotoError: it is broken, too large, or of another format.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is the one that counts
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError("not a picture of a format of labels") from error
    except Exception as error:  # at a damaged header Pillow's readers raise anything
        raise PhotoError(str(error) or type(error).__name__) from error
    if image.width * image.height > MAX_PIXELS:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels ({image.width} x {image.height})")
    if image.format == "WEBP":
        image.info["lossless"] = b"VP8L" in content[:64]
    return image


class ColourClasses:
    """Changes colours to classes.

    Args:
        classes: class, 0 to 255, of each RGB colour.
    """

    def __init__(self, classes: Mapping[Colour, int]) -> None:
        codes = np.array([red << 16 | green << 8 | blue for red, green, blue in classes], dtype=np.uint32)
        order = np.argsort(codes)
        self._codes = codes[order]
        self._classes = np.array(list(classes.values()), dtype=np.uint16)[order]

    def ids(self, packed: Packed, other: int) -> Ids:
        """Return the class of each pixel, uint16 (H, W), and `other` for colours that are not listed."""
        at = np.minimum(np.searchsorted(self._codes, packed), len(self._codes) - 1)
        return np.where(self._codes[at] == packed, self._classes[at], np.uint16(other))
