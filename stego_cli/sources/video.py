"""Videos by frames, decoded in a stream with PyAV (FFmpeg): nothing but the frames that are worked on is in memory."""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stego_cli.errors import PhotoError
from stego_cli.images.decode import Decoded, work_size
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.picture_file import require_size
from stego_cli.sources.frame_masks import Frame, write_frames
from stego_cli.sources.source import Asked, ReadPart, Target

_SLACK = 0.5  # seconds by which a video may end before the time that its header says
_TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


def missing() -> str | None:
    """Return why videos cannot be read here, with the remedy; None if they can."""
    from importlib.util import find_spec

    if find_spec("av") is not None:
        return None
    return 'a video, which needs PyAV; install it: pip install "stego-cli[video]"'


@dataclass(frozen=True)
class Track:
    """The frames of a video, in the order in which they are shown.

    Attributes:
        stamps: the time of each, in units of `base`, ascending.
        base: seconds.
        trouble: in what way the file is cut short; None: it is whole.
    """

    stamps: list[int]
    base: Fraction
    trouble: str | None

    def seconds(self, index: int) -> float:
        """Return the time of a frame, counted from the first one."""
        return float((self.stamps[index] - self.stamps[0]) * self.base)


class VideoSource:
    """See `source.Source`.

    Raises (when it is made):
        PhotoError: the file cannot be opened, or has no picture in it.
    """

    unit = "frames"

    def __init__(self, asked: Asked) -> None:
        self._asked, self._held, self._lock = asked, dict[str, Image.Image](), threading.Lock()
        self._track = _track(asked.file)
        wanted = _wanted(self._track, asked)
        self._frames = {f"frame={index}": index for index in wanted}
        self.troubles: Sequence[str] = [self._track.trouble] if self._track.trouble else []
        some = "" if len(wanted) == len(self._track.stamps) else f", {len(wanted)} of them taken"
        self.notes = [f"{asked.name}: a video of {len(self._track.stamps)} frames{some}."]

    def keys(self) -> Sequence[str]:
        """See `Source`."""
        return list(self._frames)

    def begin(self, keys: Iterable[str]) -> Iterator[str]:
        """See `Source`."""
        wanted = list(keys)
        shown = self._images(wanted)
        there = next(shown, None)
        for key in wanted:
            if there is not None and there[0] == key:
                with self._lock:
                    self._held[key] = there[1]
                there = next(shown, None)
            yield key

    def decode(self, key: str) -> Decoded:
        """See `Source`."""
        with self._lock:
            image = self._held.pop(key, None)
        if image is None:
            raise PhotoError("the frame cannot be decoded")
        work = work_size(*image.size, self._asked.res, self._asked.patch)
        return Decoded(np.asarray(image.resize(work, Image.Resampling.BILINEAR)), image.size)

    def samples(self, count: int) -> Iterator[Image.Image]:
        """See `Source`."""
        keys = list(self._frames)
        yield from (image for _, image in self._images(keys[:: max(1, len(keys) // count)]))

    def assemble(self, read: ReadPart, target: Target) -> Counter[int]:
        """See `Source`."""
        frames = (
            Frame(self._frames[key], self._track.seconds(self._frames[key]), image, part)
            for key, image in self._images([*self._frames])
            if (part := read(key)) is not None
        )
        return write_frames(frames, self._asked.parts, target)

    def _images(self, keys: Sequence[str]) -> Iterator[tuple[str, Image.Image]]:
        """Yield frames as a viewer shows them, in order; those that cannot be decoded are left out."""
        by_stamp = {self._track.stamps[self._frames[key]]: key for key in keys}
        with _container(self._asked.file) as container:
            for frame in _decoded(container):
                key = by_stamp.pop(frame.pts, None)
                if key is not None:
                    yield key, _upright(frame)
                if not by_stamp:
                    return

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *error: object) -> None:
        self._held.clear()


def sampled(file: Path) -> OpenPicture:
    """Refuse: the frames of a video have 8 bits, and nothing is decided on them.

    Raises:
        PhotoError: always.
    """
    raise PhotoError("a video, which is never stretched")


@contextlib.contextmanager
def _container(file: Path) -> Iterator[Any]:
    """Open a video; FFmpeg may read this file alone, and no other that it names.

    Raises:
        PhotoError: it cannot be opened, or has no picture in it.
    """
    import av

    av.logging.set_level(None)
    try:
        with file.open("rb") as stream, av.open(stream, "r", metadata_errors="replace") as container:
            if not container.streams.video:
                raise PhotoError("a video without a picture in it")
            require_size(container.streams.video[0].width or 1, container.streams.video[0].height or 1)
            yield container
    except av.error.FFmpegError as error:
        raise PhotoError(f"a video that cannot be read: {error.strerror}") from error
    except OSError as error:
        raise PhotoError(error.strerror or str(error)) from error


def _track(file: Path) -> Track:
    """Find the frames of a video without decoding them."""
    import av

    with _container(file) as container:
        stream = container.streams.video[0]
        base, said, length = stream.time_base, stream.frames, container.duration
        stamps, trouble = set[int](), None
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    stamps.add(packet.pts)
        except av.error.FFmpegError as error:
            trouble = f"it is cut short: {error.strerror}"
    if not stamps:
        raise PhotoError("a video without frames")
    track = Track(sorted(stamps), base, trouble)
    end, whole = track.seconds(len(stamps) - 1), (length or 0) / 1e6
    if trouble is None and said > len(stamps):
        trouble = f"it is cut short: {said - len(stamps)} of {said} frames are missing"
    elif trouble is None and not said and whole > end * len(stamps) / max(1, len(stamps) - 1) + _SLACK:
        trouble = f"it is cut short: it ends after {end:.1f} of {whole:.1f} seconds"
    return Track(track.stamps, base, trouble)


def _decoded(container: Any) -> Iterator[Any]:  # noqa: ANN401  (PyAV's types come with an extra)
    """Yield the frames of a video in the order in which they are shown, without those that are broken."""
    import av

    packets = container.demux(container.streams.video[0])
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            return
        except av.error.InvalidDataError:
            continue
        except av.error.FFmpegError:
            return
        for frame in frames:
            if not frame.is_corrupt:
                yield frame


def _upright(frame: Any) -> Image.Image:  # noqa: ANN401  (as above)
    image: Image.Image = frame.to_image()
    turn = _TURNS.get(round(frame.rotation) % 360)
    return image if turn is None else image.transpose(turn)


def _wanted(track: Track, asked: Asked) -> list[int]:
    """Return the numbers of the frames that are asked for."""
    parts = asked.parts
    if parts.fps is None:
        return list(range(0, len(track.stamps), parts.every or 1))
    shown, last = [track.seconds(index) for index in range(len(track.stamps))], track.seconds(len(track.stamps) - 1)
    ticks = (tick / parts.fps for tick in range(int(last * parts.fps + 1e-9) + 1))
    return sorted({bisect_right(shown, tick + 1e-9) - 1 for tick in ticks})  # the frame that is shown at that time
