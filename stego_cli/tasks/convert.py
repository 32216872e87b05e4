"""Masks to the formats of other tools, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stego_cli.class_edits import ClassEdit, ClassEdits, default_name
from stego_cli.classes import VOID
from stego_cli.errors import NoInputError, PhotoError, UsageError, setting
from stego_cli.gallery.formats import FORMATS
from stego_cli.gallery.formats.common import ClassRow, Imported, ImportedPhoto, PhotoLabels, Shaping
from stego_cli.gallery.mask_tree import MaskTree, open_masks
from stego_cli.images.atomic import require_writable, write_bytes
from stego_cli.images.discover import Photo, with_masks
from stego_cli.images.journal import Entry, Journal
from stego_cli.images.masks import encode_mask
from stego_cli.images.streams import map_ahead
from stego_cli.inference.mask_classes import keep_classes_of_masks
from stego_cli.inference.output_folder import OutputFolder
from stego_cli.machine import cores
from stego_cli.palette import palette
from stego_cli.processes import process_pool, thread_pool
from stego_cli.progress import Progress
from stego_cli.stop import NEVER, Stop
from stego_cli.text import shown
from stego_cli.version import __version__

_WORTH_PROCESSES = 60  # photographs from which starting processes pays


@dataclass(frozen=True)
class ConvertSettings:
    """What is handed over, or taken back.

    Attributes:
        source: the folder of masks; or what another tool wrote.
        out: the folder that is made.
        format: a key of `stego_cli.gallery.formats.FORMATS`.
        back: from that format to masks.
        photos: the photographs; None: those that the masks were made from.
        shaping: how regions become polygons.
        overwrite: write into a folder that is not empty.
    """

    source: Path
    out: Path
    format: str
    back: bool = False
    photos: Path | None = None
    shaping: Shaping = field(default_factory=Shaping)
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"There is no format {self.format!r}.", f"There are {', '.join(FORMATS)}.")
        if self.back and not FORMATS[self.format].reads:
            raise UsageError(f"{self.format} cannot be read back.", "It has no outlines.")


@dataclass(frozen=True)
class Converted:
    """What was done: photographs, classes, and paths with reasons of the photographs that could not be converted."""

    photographs: int
    classes: Sequence[ClassRow]
    failed: list[tuple[str, str]]


def convert(settings: ConvertSettings, progress: Progress, stop: Stop = NEVER) -> Converted:
    """Convert masks to another format, or back.

    Raises:
        NoInputError: there is nothing to convert.
        UsageError: the folder `out` holds something, a library is missing, or the source is not of that format.
        OutputError: a file cannot be written.
        Stopped: a signal came.
    """
    if settings.out.exists() and (not settings.out.is_dir() or any(settings.out.iterdir())) and not settings.overwrite:
        raise UsageError(
            f"{shown(settings.out)} is there already.",
            f"Give {setting('overwrite', True)}, or another {setting('out')}.",
        )
    if settings.back:
        return _back(_module(settings.format).read(settings.source), settings, progress, stop)
    return _hand_over(open_masks(settings.source, settings.photos), settings, progress, stop)


def _hand_over(tree: MaskTree, settings: ConvertSettings, progress: Progress, stop: Stop) -> Converted:
    if settings.shaping.with_photos and tree.photos is None:
        raise NoInputError("The photographs are not known, or gone.", f"Give them as {setting('photos')}.")
    classes = [ClassRow(entry.name, entry.colour, entry.value) for entry in tree.edits.legend]
    index = np.full(VOID + 1, VOID, np.uint8)
    for number, row in enumerate(classes):
        index[row.value] = number
    failed: list[tuple[str, str]] = []
    require_writable(settings.out)

    work = partial(_encode, settings.format, tree, index, classes, settings.shaping)
    # Not in threads: rasterio and shapely change Python's filters of warnings, which threads share.
    pool: AbstractContextManager[Executor] = (
        process_pool(cores()) if len(tree.entries) > _WORTH_PROCESSES else thread_pool(1)
    )

    def encoded() -> Iterator[object]:
        title, stopped = f"Writing {settings.format}", lambda: stop.requested is not None
        with progress.stage(title, len(tree.entries), unit="photographs") as stage, pool as executor:
            results = map_ahead(executor, work, tree.entries, 4 * cores(), stopped)
            for entry, (result, problem) in zip(tree.entries, results, strict=False):  # fewer results once stopped
                stage.advance()
                if problem:
                    failed.append((shown(entry.path), problem))
                    progress.warn(f"{shown(entry.path)}: {problem}")
                else:
                    yield result
        stop.check()

    _module(settings.format).write(encoded(), classes, settings.out, settings.shaping)
    return Converted(len(tree.entries) - len(failed), classes, failed)


def _encode(
    name: str, tree: MaskTree, index: NDArray[np.uint8], classes: Sequence[ClassRow], shaping: Shaping, entry: Entry
) -> tuple[object, str]:
    """Return one photograph in a format, and an empty text; or nothing, and why it cannot be converted."""
    photo = None if tree.photos is None else tree.photos / entry.path
    mask = entry.mask or ""
    try:
        if mask.endswith(".tif") and FORMATS[name].rasters:
            taken = any(other.mask == f"{mask.removesuffix('.tif')}.png" for other in tree.entries)
            stem, none = mask if taken else mask.removesuffix(".tif"), np.zeros((0, 0), np.uint8)
            labels = PhotoLabels(shown(entry.path), stem, photo, none, tree.root / mask)
        else:
            labels = PhotoLabels(shown(entry.path), mask.removesuffix(".png"), photo, index[tree.labels(entry)])
        return _module(name).encode(labels, classes, shaping), ""
    except PhotoError as error:
        return None, error.message


def _module(name: str) -> Any:  # noqa: ANN401  (a module has no type of its own)
    return import_module(f"stego_cli.gallery.formats.{FORMATS[name].module}")


def _back(imported: Imported, settings: ConvertSettings, progress: Progress, stop: Stop) -> Converted:
    if not imported.photos:
        raise NoInputError(f"There is no photograph in {shown(settings.source)}.")
    edits = _edits(imported.classes)
    of_path = {_safe(photo.path): photo for photo in imported.photos}
    failed: list[tuple[str, str]] = []
    with OutputFolder(settings.out) as folder:
        for leftover in (folder.state / "journal.jsonl", folder.state / "run.json"):
            leftover.unlink(missing_ok=True)
        with (
            Journal(folder.state / "journal.jsonl") as journal,
            progress.stage(f"Reading {settings.format}", len(of_path), unit="photographs") as stage,
        ):
            for photo in with_masks(sorted(of_path)):
                stop.check()
                stage.advance()
                try:
                    journal.append(_write_mask(photo, of_path[photo.path], edits, folder))
                except PhotoError as error:
                    failed.append((shown(photo.path), error.message))
                    progress.warn(f"{shown(photo.path)}: {error.message}")
        about = {
            "stego_version": __version__,
            "photos": str((settings.photos or settings.source).absolute()),
            "identity": {"read_from": settings.format},
        }
        write_bytes(folder.state / "run.json", (json.dumps(about, indent=2) + "\n").encode(), folder.scratch)
        keep_classes_of_masks(settings.out, edits)
    return Converted(len(of_path) - len(failed), imported.classes, failed)


def _write_mask(photo: Photo, source: ImportedPhoto, edits: ClassEdits, folder: OutputFolder) -> Entry:
    labels = source.labels()
    colours = (
        [*edits.colours, *[(0, 0, 0)] * (VOID + 1 - len(edits.colours))] if (labels == VOID).any() else edits.colours
    )
    content = encode_mask(labels, colours)
    write_bytes(folder.root / photo.mask, content, folder.scratch)
    counts = np.bincount(labels.ravel())
    return Entry(
        photo.path,
        "done",
        mask=photo.mask,
        sha256=hashlib.sha256(content).hexdigest(),
        pixels={int(value): int(counts[value]) for value in counts.nonzero()[0]},
    )


def _edits(classes: Sequence[ClassRow]) -> ClassEdits:
    """Return names and colours as edits of classes that were found.

    Raises:
        UsageError: there are none, too many, or two of one name.
    """
    if not 1 <= len(classes) <= VOID:
        raise UsageError(f"Masks hold 1 to {VOID} classes; there are {len(classes)}.")
    usual = palette(len(classes))
    return ClassEdits(
        len(classes),
        {
            number: ClassEdit(
                None if row.name == default_name(number) else row.name,
                None if row.colour == usual[number] else row.colour,
            )
            for number, row in enumerate(classes)
        },
    )


def _safe(path: str) -> str:
    """Return a photograph's path as one below a folder.

    Raises:
        UsageError: it leads out of it.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in path.replace("\\", "/").split("/") or not pure.name or "\0" in path:
        raise UsageError(f"The path {path!r} leads out of the folder.")
    return str(pure)
