"""What all hand-over formats share: one photograph with its classes, and how polygons are made of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import OutputError, UsageError
from stego_cli.images.atomic import write_bytes
from stego_cli.palette import Colour
from stego_cli.text import shown

Labels = NDArray[np.uint8]  # (H, W), class indices of the list of classes; 255 for no class


@dataclass(frozen=True)
class ClassRow:
    """A class as a format has it; its index in the list of classes is its number there."""

    name: str
    colour: Colour
    value: int  # in the masks


@dataclass(frozen=True)
class PhotoLabels:
    """One photograph to be handed over.

    Attributes:
        path: of the photograph, relative, as text.
        stem: relative path, without a suffix, of the files that stand for it; no two photographs share it.
        photo: the photograph's file; None: it is not there.
        labels: indices into the list of classes; none of a raster.
        raster: the mask of a raster, a GeoTIFF; None: it is a photograph.
    """

    path: str
    stem: str
    photo: Path | None
    labels: Labels
    raster: Path | None = None


@dataclass(frozen=True)
class Shaping:
    """How regions become polygons.

    Attributes:
        tolerance: pixels that an outline may leave out; 0: outlines along the pixels' edges; None: the format's usual.
        min_area: pixels; smaller regions are left out and smaller holes filled.
        with_photos: put the photographs (links to them where the file system can) where the format has them.
    """

    tolerance: float | None = None
    min_area: float = 0.0
    with_photos: bool = False

    def __post_init__(self) -> None:
        if self.tolerance is not None and not 0 <= self.tolerance < 1000:
            raise UsageError(f"must be 0 or more pixels, got {self.tolerance:g}", field="tolerance")
        if not 0 <= self.min_area < 1e9:
            raise UsageError(f"must be 0 or more pixels, got {self.min_area:g}", field="min_area")

    @property
    def outline(self) -> float:
        """The tolerance of formats that have polygons only."""
        return 1.0 if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class ImportedPhoto:
    """One photograph of another tool: its relative path, and what returns its labels.

    `labels` raises PhotoError where they are broken.
    """

    path: str
    labels: Callable[[], Labels]


@dataclass(frozen=True)
class Imported:
    """What another tool wrote."""

    classes: Sequence[ClassRow]
    photos: Sequence[ImportedPhoto]


def write_file(out: Path, place: str, content: bytes) -> None:
    """Write one file below the folder `out`.

    Raises:
        OutputError: it cannot be written, or the place is not below `out`.
    """
    target = out / place
    if ".." in Path(place).parts or Path(place).is_absolute():
        raise OutputError(f"{shown(place)} is not below {shown(out)}.")
    write_bytes(target, content)


def place_photo(photo: PhotoLabels, out: Path, place: str) -> None:
    """Put a photograph below `out`: a hard link where that is possible, else a copy.

    Raises:
        OutputError: it cannot be put there.
    """
    target = out / place
    try:
        if photo.photo is None:
            raise FileNotFoundError(2, "the photograph is not there")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(photo.photo.resolve(), target)
        except OSError:
            shutil.copyfile(photo.photo, target)
    except OSError as error:
        raise OutputError(f"{shown(target)} cannot be written: {error.strerror or error}.") from error


def need(module: str, distribution: str) -> None:
    """Refuse a format whose library is not installed.

    Raises:
        UsageError: it is not.
    """
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise UsageError(f"This format needs {distribution}.", 'Install it: pip install "stego-cli[convert]".')
