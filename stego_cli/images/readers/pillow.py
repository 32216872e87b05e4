"""Pictures that Pillow reads, each with the plugin for its content."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from stego_cli.errors import PhotoError
from stego_cli.images.readers.bands import RGB_NAMES, Bands, BandsInfo, Block, ImageBands, row_blocks
from stego_cli.images.readers.bare import bare_jpeg, bare_png, bare_webp
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import (
    MAX_PIXELS,
    FileOrBytes,
    content_of,
    head_of,
    quiet,
    reason_of,
    require_content_size,
    require_size,
)

_BARE: dict[str, Callable[[bytes], tuple[bytes, int]]] = {"PNG": bare_png, "JPEG": bare_jpeg, "WEBP": bare_webp}
_READ_WHOLE = frozenset({"WEBP", "AVIF"})  # by Pillow, when they are opened
_MOST_SCANS = 200  # of a progressive JPEG; cameras and programs write about ten, and each costs a pass over all pixels
_CHANNELS = {2: 3, 4: 2, 6: 4}  # of a PNG, by its header's colour type: RGB, grey with alpha, RGBA
# By the same: how to decode the low bytes. Little-endian modes take the second byte of each pair for the high one; grey
# with alpha is decoded as four bytes.
_LOW_BYTES = {2: "RGB;16L", 4: "RGBA", 6: "RGBA;16L"}


def open_image(source: FileOrBytes, plugin: str) -> Image.Image:
    """Open a picture lazily with one of Pillow's plugins and no other.

    Raises:
        PhotoError: it is broken, too large, or has no pixels.
    """
    try:
        with quiet():
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=(plugin,))
    except Image.DecompressionBombError as error:
        raise PhotoError(f"more than {MAX_PIXELS / 1e6:.0f} million pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoError(f"a {plugin} file that is broken, or of a kind that is not read") from error
    except Exception as error:  # Pillow's readers raise whatever a damaged header leads them into
        raise PhotoError(reason_of(error)) from error
    try:
        require_size(*image.size)
    except PhotoError:
        image.close()
        raise
    return image


def reader(plugin: str) -> Callable[[FileOrBytes, bool], OpenPicture]:
    """Return the reader of a format that one of Pillow's plugins reads."""

    def read(source: FileOrBytes, bare: bool) -> OpenPicture:
        orientation = None
        if bare:
            if plugin not in _BARE:
                raise PhotoError(f"a broken {plugin} file")
            source, orientation = _BARE[plugin](content_of(source))
        if plugin in _READ_WHOLE:
            require_content_size(source)
        image = open_image(source, plugin)
        try:
            if plugin == "JPEG" and image.info.get("progressive"):
                _limit_scans(content_of(source))
            return OpenPicture(image.size, orientation, _frames(source, image), image, _bands(source, image))
        except BaseException:
            image.close()
            raise

    return read


def _limit_scans(content: bytes) -> None:
    scans = content.count(b"\xff\xda")
    if scans > _MOST_SCANS:
        raise PhotoError(f"a JPEG of {scans} scans, more than {_MOST_SCANS}")


def _frames(source: FileOrBytes, image: Image.Image) -> int:
    """Return the number of frames; counting those of a GIF moves its position, so that is done on another copy."""
    try:
        if image.format == "GIF":
            with open_image(source, "GIF") as counted:
                return int(getattr(counted, "n_frames", 1))
        return int(getattr(image, "n_frames", 1))
    except Exception:  # of frames behind the first, which are not read
        return 1


def _bands(source: FileOrBytes, image: Image.Image) -> Bands | None:
    if image.mode.startswith("I;16"):
        return ImageBands(image, "uint16")
    if image.mode == "F":
        return ImageBands(image, "float")
    if image.format == "PNG":
        depth, colours = head_of(source)[24:26]
        if depth == 16 and colours in _CHANNELS:
            return PngBands(source, image.size, colours)
    return None


class PngBands:
    """The channels of a PNG with 16 bits, of which Pillow's modes hold 8: it is decoded twice, for each half."""

    def __init__(self, source: FileOrBytes, size: tuple[int, int], colours: int) -> None:
        self._source, self._colours = source, colours
        channels = _CHANNELS[colours]
        alpha, names = channels - 1 if channels in (2, 4) else None, RGB_NAMES if channels >= 3 else ()
        self.info = BandsInfo(*size, "uint16", channels, alpha, names=names)

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        chosen = list(bands)
        with self._opened(_LOW_BYTES[self._colours]) as low:
            if self._colours == 4:  # grey and alpha of 16 bits, as four channels of 8
                for top, pairs in row_blocks(low):
                    yield Block(top, 0, np.ascontiguousarray(pairs).view(">u2")[..., chosen])
                return
            with self._opened(None) as high:
                for (top, upper), (_, lower) in zip(row_blocks(high), row_blocks(low), strict=True):
                    yield Block(top, 0, upper[..., chosen].astype(np.uint16) << 8 | lower[..., chosen])

    def _opened(self, raw_mode: str | None) -> Image.Image:
        image = open_image(self._source, "PNG")
        if raw_mode is not None:
            image.tile = [tile._replace(args=raw_mode) for tile in image.tile]  # type: ignore[attr-defined]
        return image
