"""A decoder that stands in for that of a GPU: the same interface, on the CPU."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps


class StandIn:
    """Decodes with Pillow, and takes what nvImageCodec takes; `refused` are contents that it does not."""

    def __init__(self, gpu: int = 0) -> None:
        self.batches: list[int] = []
        self.refused: set[bytes] = set()

    def decode(self, contents: Sequence[bytes], stream: int) -> list[object | None]:
        """See `DeviceDecoder`."""
        self.batches.append(len(contents))
        return [None if content in self.refused else self._decoded(content) for content in contents]

    def _decoded(self, content: bytes) -> object:
        with Image.open(io.BytesIO(content)) as image:
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
