"""Parts of larger files, drawn as pictures of their own, to train on: windows of rasters, frames of videos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stego_cli.errors import PhotoError
from stego_cli.images.discover import Found
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.settings import Reading
from stego_cli.sources.source import Asked
from stego_cli.sources.table import kind_of
from stego_cli.text import shown

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


def draw_parts(drawing: Drawing, folder: Path, count: int, progress: Progress) -> list[Path]:
    """Write about `count` parts, spread evenly over the larger files, as PNG into a folder, and return their paths.

    The same files give the same pictures. Files that cannot be opened are left out, and reported.
    """
    found, drawn = drawing.found, list[Path]()
    if not found.large:
        return drawn
    folder.mkdir()
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
                    image.save(drawn[-1], compress_level=1)
        except PhotoError as error:
            progress.warn(f"{shown(photo.path)}: {error.message}")
    progress.note(f"{len(drawn)} parts of {len(found.large)} larger files are drawn to train on.")
    return drawn
