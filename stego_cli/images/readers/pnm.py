"""Binary PGM and PPM of any highest value: Pillow takes seconds for what is not 255, and 8 bits of what is more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np

from stego_cli.errors import PhotoError
from stego_cli.images.readers import pillow
from stego_cli.images.readers.bands import BandsInfo, Block
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import FileOrBytes, open_source, require_size

_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])"
_HEADER = re.compile(rb"P([56])" + 3 * (_SPACE + rb"+(\d{1,10})") + rb"\s")
_MOST_HEADER = 65_536  # bytes, comments included
_BLOCK = 1 << 22  # bytes of a block, about

_read_by_pillow = pillow.reader("PPM")


def read(source: FileOrBytes, bare: bool) -> OpenPicture:
    """Open a PNM.

    Raises:
        PhotoError: it is broken or too large.
    """
    stream = open_source(source)
    try:
        header = _HEADER.match(stream.read(_MOST_HEADER))
        if header is not None and int(header[4]) != 255:
            width, height, highest = (int(header[index]) for index in (2, 3, 4))
            require_size(width, height)
            if not 0 < highest < 65_536:
                raise PhotoError(f"a broken PNM file: its highest value is {highest}")
            bands = PnmBands(stream, header.end(), width, height, 3 if header[1] == b"6" else 1, highest)
            return OpenPicture((width, height), bands=bands, stream=stream)
    except BaseException:
        stream.close()
        raise
    stream.close()
    return _read_by_pillow(source, bare)


class PnmBands:
    """The numbers of a PNM. Where its highest value is not 65535 they are brought to 8 bits by it."""

    def __init__(self, stream: BinaryIO, start: int, width: int, height: int, count: int, highest: int) -> None:
        self._stream, self._start, self._highest = stream, start, highest
        self.info = BandsInfo(width, height, "uint16" if highest == 65_535 else "uint8", count)

    def blocks(self, bands: Sequence[int], some: int = 0, truncated: bool = False) -> Iterator[Block]:
        """See `Bands`."""
        dtype = np.dtype(">u2" if self._highest > 255 else "u1")
        info, row = self.info, self.info.width * self.info.count * dtype.itemsize
        table = np.rint(np.arange(self._highest + 1) / self._highest * 255).astype(np.uint8)
        step = max(1, _BLOCK // row)
        self._stream.seek(self._start)
        for top in range(0, info.height, step):
            content = self._stream.read(min(step, info.height - top) * row)
            rows = len(content) // row
            stored = np.frombuffer(content[: rows * row], dtype).reshape(rows, info.width, info.count)
            numbers = stored[..., list(bands)].astype(dtype.newbyteorder("="))
            if info.kind == "uint8":
                numbers = table[np.minimum(numbers, self._highest)]
            if rows:
                yield Block(top, 0, numbers)
            if rows < min(step, info.height - top):
                if not truncated:
                    raise PhotoError("the file is cut short")
                yield Block(top + rows, 0, np.zeros((info.height - top - rows, info.width, len(bands))), missing=True)
                return
