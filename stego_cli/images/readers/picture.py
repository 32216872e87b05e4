"""An open picture: its header, and the ways to its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from PIL import Image

from stego_cli.images.readers.bands import Bands
from stego_cli.images.readers.bare import orientation_of


class Closable(Protocol):
    """What is closed with a picture."""

    def close(self) -> object:
        """Close it."""


_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass
class OpenPicture:
    """An open picture; a context manager. It has `image`, `bands` or both.

    Attributes:
        size: width and height as stored.
        known_orientation: EXIF's, 1 to 8, where it has been read; None: it is read from `image` when it is needed.
        frames: number of pictures in the file: frames of an animation, pages. The first one is read.
        image: Pillow's, not decoded yet; channels of 8 bits. None where Pillow has no such mode.
        bands: the numbers, where they are more than 8 bits or other bands than grey and RGB.
        stream: the file that `bands` reads from, closed with the picture; None if there is none to close.
    """

    size: tuple[int, int]
    known_orientation: int | None = None
    frames: int = 1
    image: Image.Image | None = None
    bands: Bands | None = None
    stream: Closable | None = None

    @cached_property
    def orientation(self) -> int:
        """How the picture is to be turned for a viewer: EXIF's, 1 to 8.

        A PNG may have it behind the pixels, so finding out decodes those.
        """
        if self.known_orientation is not None:
            return self.known_orientation
        return 1 if self.image is None else orientation_of(self.image)

    @property
    def viewed_size(self) -> tuple[int, int]:
        """Width and height as a viewer shows it."""
        width, height = self.size
        return (height, width) if self.orientation in _SIDEWAYS else (width, height)

    def __enter__(self) -> OpenPicture:
        return self

    def __exit__(self, *error: object) -> None:
        for thing in (self.image, self.stream):
            if thing is not None:
                thing.close()
