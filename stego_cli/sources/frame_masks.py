"""What a video gets: a folder with a mask for each frame or one lossless video of them, and areas over time."""

from __future__ import annotations

import csv
import io
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import VOID
from stego_cli.errors import OutputError, setting
from stego_cli.images.atomic import write_bytes
from stego_cli.images.masks import encode_mask, overlay_image
from stego_cli.images.passes import counts
from stego_cli.part_settings import PartSettings
from stego_cli.sources.source import PartMask, Target
from stego_cli.sources.steady import steadied
from stego_cli.text import shown

AREAS, MASKS, OVERLAY = "areas.csv", "masks.mkv", "overlay.mp4"
_TICK = Fraction(1, 60_000)  # seconds, the unit of time stamps in what is written; MPEG-4 allows 65,535 in a second
_SAME_BYTES = {"threads": "1", "flags": "+bitexact"}  # the same frames give the same bytes
_CODECS = {  # and what each one needs for it
    "ffv1": _SAME_BYTES,
    # The macroblock tree of x264 decides on memory that it has not written: each run would give other bytes.
    "libx264": {**_SAME_BYTES, "mbtree": "0"},
    "mpeg4": _SAME_BYTES,
}


@dataclass(frozen=True)
class Frame:
    """A frame with its labels.

    Attributes:
        index: its number in the video; `seconds`: its time there, from the first one.
        image: RGB, as a viewer shows it.
        part: its labels.
    """

    index: int
    seconds: float
    image: Image.Image
    part: PartMask


def write_frames(frames: Iterator[Frame], parts: PartSettings, target: Target) -> Counter[int]:
    """Write all that a video gets, and return the number of pixels of each value.

    Args:
        frames: in order.
        parts: whether labels are steadied, and masks are one video.
        target: its mask is a folder, in which files of these names are replaced, and frames of another run removed.

    Raises:
        OutputError: something cannot be written.
    """
    folder, found = target.mask, np.zeros(VOID + 1, np.int64)
    areas, written = _Areas(target.names), set[str]()
    if parts.steady:
        frames = (replace(frame, part=replace(frame.part, labels=labels)) for frame, labels in steadied(frames))
    with ExitStack() as films:
        masks = films.enter_context(_Film(folder / MASKS, target, "ffv1", "gray")) if parts.mask_video else None
        overlay = None
        if target.overlay:
            overlay = films.enter_context(_Film(folder / OVERLAY, target, _overlay_codec(), "yuv420p"))
        for frame in frames:
            labels = frame.part.labels
            found += areas.add(frame, labels)
            if masks is not None:
                masks.add(labels, frame.seconds)
            else:
                written.add(f"frame_{frame.index:06}.png")
                content = encode_mask(labels, target.colours)
                write_bytes(folder / f"frame_{frame.index:06}.png", content, target.scratch)
            if overlay is not None:
                overlay.add(np.asarray(overlay_image(frame.image, labels, target.colours)), frame.seconds)
    write_bytes(folder / AREAS, areas.content(), target.scratch)
    stale = [file for file in folder.glob("frame_*.png") if file.name not in written]
    stale += [] if masks is not None else [folder / MASKS]
    for file in stale + ([] if overlay is not None else [folder / OVERLAY]):
        file.unlink(missing_ok=True)
    return Counter({int(value): int(found[value]) for value in found.nonzero()[0]})


class _Areas:
    """A table of the share of each class in each frame."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names, self._stream = names, io.StringIO(newline="")
        self._writer = csv.writer(self._stream)
        self._writer.writerow(["frame", "seconds", *(name or f"value {value}" for value, name in enumerate(names))])

    def add(self, frame: Frame, labels: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Add a frame, and return the number of its pixels of each value, int64 (256,)."""
        found = counts(labels)
        shares = (f"{found[value] / labels.size:.6f}" for value in range(len(self._names)))
        self._writer.writerow([frame.index, f"{frame.seconds:.6f}", *shares])
        return found

    def content(self) -> bytes:
        return self._stream.getvalue().encode()


class _Film:
    """A video that is written frame by frame, whole or not at all; a context manager.

    Raises (at any time):
        OutputError: it cannot be written.
    """

    def __init__(self, file: Path, target: Target, codec: str, layout: str) -> None:
        self._file, self._codec, self._layout = file, codec, layout
        self._temporary = target.scratch / f".stego-{uuid.uuid4().hex[:16]}.tmp"
        self._container: Any = None
        self._stream: Any = None

    def add(self, pixels: NDArray[np.uint8], seconds: float) -> None:
        """Add a frame, uint8 (H, W) or (H, W, 3)."""
        import av

        def write() -> None:
            if self._stream is None:
                self._open(pixels)
            if self._codec != "ffv1":  # its colours are stored for every other pixel
                even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            else:
                frame = av.VideoFrame.from_ndarray(pixels, format="gray")
            frame.pts, frame.time_base = round(seconds / _TICK), _TICK
            self._container.mux(self._stream.encode(frame))

        self._do(write)

    def _open(self, pixels: NDArray[np.uint8]) -> None:
        import av

        kind = "matroska" if self._file.suffix == ".mkv" else "mp4"
        self._container = av.open(str(self._temporary), "w", format=kind, options={"fflags": "+bitexact"})
        self._stream = self._container.add_stream(self._codec, rate=30, options=_CODECS[self._codec])
        step = 1 if self._codec == "ffv1" else 2
        self._stream.height, self._stream.width = (side // step * step for side in pixels.shape[:2])
        self._stream.pix_fmt, self._stream.time_base = self._layout, _TICK
        self._stream.codec_context.time_base = _TICK

    def _do(self, work: Callable[[], None]) -> None:
        import av

        try:
            work()
        except (OSError, av.error.FFmpegError) as error:
            raise OutputError(
                f"{shown(self._file)} cannot be written: {error.strerror or error}.",
                f"Free some space or choose another {setting('out')}.",
            ) from error

    def _close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._temporary.replace(self._file)

    def __enter__(self) -> _Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None and self._stream is not None:
                self._do(self._close)
        finally:
            self._temporary.unlink(missing_ok=True)


def _overlay_codec() -> str:
    import av

    return "libx264" if "libx264" in av.codecs_available else "mpeg4"
