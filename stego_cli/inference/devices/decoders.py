"""Decoders of photographs on a GPU: a table, and which photographs are handed to one.

A decoder gets the bytes of files, so that only these cross the bus. What it does not take goes the way of the CPU.
Nothing here loads torch: what a decoder returns is read through DLPack.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from stego_cli.errors import PhotoError, UsageError, setting
from stego_cli.images.decode import Rgb, decode, work_size
from stego_cli.images.readers.picture_file import content_of
from stego_cli.images.readers.table import open_any
from stego_cli.reading import Reading

_END = b"\xff\xd9"  # of a JPEG
_TAIL = 64  # bytes at the end of a file in which that must be; some cameras fill up the last block
_INSTALL = "`pip install 'stego-cli[gpu-decode]'`"


class DeviceDecoder(Protocol):
    """Decodes on one GPU."""

    def decode(self, contents: Sequence[bytes], stream: int) -> list[object | None]:
        """Decode files; one thread at a time.

        Args:
            contents: of the files.
            stream: of CUDA, on which what follows will run.

        Returns:
            An object with the DLPack protocol for each: uint8 (H, W, 3), RGB, EXIF orientation applied, in the GPU's
            memory. None: the decoder does not take the file.
        """


class NvImageCodec:
    """NVIDIA's nvImageCodec, which decodes JPEGs with nvJPEG.

    Raises:
        ImportError: it is not installed.
        RuntimeError: it decodes nothing here.
    """

    def __init__(self, gpu: int) -> None:
        from nvidia import nvimgcodec

        self._library = nvimgcodec
        self._decoder = nvimgcodec.Decoder(device_id=gpu)
        self._parameters = nvimgcodec.DecodeParams(
            apply_exif_orientation=True,
            color_spec=nvimgcodec.ColorSpec.SRGB,
            sample_format=nvimgcodec.SampleFormat.I_RGB,
        )
        tried = io.BytesIO()
        Image.new("RGB", (16, 16)).save(tried, "JPEG")
        if self.decode([tried.getvalue()], 0) == [None]:
            raise RuntimeError("nvImageCodec decodes no JPEG on this GPU")

    def decode(self, contents: Sequence[bytes], stream: int) -> list[object | None]:
        """See `DeviceDecoder`."""
        sources = [self._library.CodeStream(content) for content in contents]
        decoded: list[object | None] = self._decoder.decode(sources, params=self._parameters, cuda_stream=stream)
        return decoded


DECODERS: dict[str, Callable[[int], DeviceDecoder]] = {"nvimgcodec": NvImageCodec}  # the first that works is taken


def open_decoder(gpu: int) -> DeviceDecoder:
    """Return a decoder on a GPU.

    Raises:
        UsageError: none can be used, with the reason.
    """
    reasons = []
    for name, make in DECODERS.items():
        try:
            return make(gpu)
        except Exception as error:  # a missing package, library or driver, each in words of its own
            reasons.append(f"{name}: {(str(error) or type(error).__name__).splitlines()[0]}")
    raise UsageError(
        f"{setting('decoder', 'gpu')}: photographs cannot be decoded on GPU {gpu} ({'; '.join(reasons)}).",
        f"{_INSTALL} brings what it needs, or give {setting('decoder', 'cpu')}.",
    )


@dataclass(frozen=True)
class Encoded:
    """A photograph that a GPU is to decode.

    Attributes:
        content: of the file.
        size: the photograph's own width and height, after EXIF orientation.
        shape: height, width and 3, at work size.
        by_host: decodes it on the CPU, uint8 of that shape; raises PhotoError.
    """

    content: bytes
    size: tuple[int, int]
    shape: tuple[int, int, int]
    by_host: Callable[[], Rgb]

    @property
    def placeholder(self) -> Rgb:
        """An array of the work size without channels: what stands for the pixels until they are there."""
        return np.empty((*self.shape[:2], 0), np.uint8)


def encoded(path: Path, res: int, patch: int, reading: Reading) -> Encoded | None:
    """Return a photograph for a decoder on a GPU, or None where the CPU has to decode it or find out what is wrong.

    Taken are JPEGs in grey or colour that are not cut short and of which no bands are chosen.

    Args:
        path: the file.
        res: shorter side at work, pixels.
        patch: the sides are multiples of it, pixels.
        reading: how pictures that are not RGB of 8 bits become that.
    """
    try:
        content = content_of(path)
        with open_any(content) as picture:
            image = picture.image
            if reading.bands or image is None or image.format != "JPEG" or image.mode not in ("L", "RGB"):
                return None
            size = picture.viewed_size
    except PhotoError:
        return None
    if _END not in content[-_TAIL:]:
        return None
    width, height = work_size(*size, res, patch)
    return Encoded(content, size, (height, width, 3), partial(_by_host, content, res, patch, reading))


def _by_host(content: bytes, res: int, patch: int, reading: Reading) -> Rgb:
    return decode(content, res, patch, reading).pixels
