"""Parts of larger files, drawn as pictures of their own, to train on: windows of rasters, frames of videos."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import PhotoError
from stego_cli.images.atomic import write_bytes
from stego_cli.images.discover import Found
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.sources.source import Asked
from stego_cli.sources.table import kind_of
from stego_cli.text import shown

DRAWN = ".stego-parts"  # name of the folder of drawn parts, which no photograph of a user is in
ENOUGH = 500  # parts, and photographs, to find classes in: what recurs in a tree shows in an even sample of it
_PATCH = 14  # pixels; of most backbones. A drawn part is resized to whole patches when it is read again.


@dataclass(frozen=True)
class Drawing:
    """What is drawn from.

    Attributes:
        found: photographs and larger files.
        reading: how they become RGB of 8 bits.
        res: side at which a drawn part is worked in training, pixels.
        parts: which of the larger files is wanted.
    """

    found: Found
    reading: Reading
    res: int
    parts: PartSettings


def reading_of(path: Path, reading: Reading) -> Reading:
    """Return how a photograph is read in training: a drawn part is RGB of 8 bits already, of the bands asked for."""
    return Reading() if path.parent.name == DRAWN else reading


def draw_parts(drawing: Drawing, folder: Path, count: int, progress: Progress) -> list[Path]:
    """Write about `count` parts, spread evenly over the larger files, into a folder named DRAWN, and return the PNGs.

    The same files give the same pictures, and the same times, so that a training on them can be resumed with others
    drawn anew. Files that cannot be opened are left out, and reported.

    Raises:
        OutputError: they cannot be written.
    """
    found, drawn = drawing.found, list[Path]()
    if not found.large:
        return drawn
    each = max(1, -(-count // len(found.large)))
    for number, photo in enumerate(found.large):
        file = found.root / photo.path
        kind = kind_of(file)
        try:
            if kind is None:
                raise PhotoError("it changed while it was read")
            asked = Asked(file, shown(photo.path), drawing.res, _PATCH, drawing.reading, drawing.parts)
            with kind.open(asked) as source:
                for index, image in enumerate(source.samples(each)):
                    drawn.append(folder / f"{number:06}-{index:06}.png")
                    stream = io.BytesIO()
                    image.save(stream, "PNG", compress_level=1)
                    write_bytes(drawn[-1], stream.getvalue())
                    os.utime(drawn[-1], ns=(0, 0))
        except PhotoError as error:
            progress.warn(f"{shown(photo.path)}: {error.message}")
    progress.note(f"{len(drawn)} parts of {len(found.large)} larger files are drawn to train on.")
    return drawn
