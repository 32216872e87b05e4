"""Writes one item of a data set: its photograph, or pieces of it, and its labels as palette PNGs of classes."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.classes import VOID
from stego_cli.datasets.crops import at_random, five
from stego_cli.datasets.from_bytes import rgb_of
from stego_cli.datasets.inventory import ClassMap, Inventory, Item, Piece
from stego_cli.datasets.source import Files
from stego_cli.datasets.subset import rank
from stego_cli.errors import OutputError, PhotoError, SourceError
from stego_cli.images.atomic import write_new
from stego_cli.images.decode import photo_size
from stego_cli.images.ids import resize_ids
from stego_cli.images.masks import encode_mask
from stego_cli.images.readers.table import open_picture
from stego_cli.palette import Colour, palette
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

_QUALITY = 95  # of photographs that are encoded again, without loss of colour resolution
_STARTS = {".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8", ".png": b"\x89PNG\r\n\x1a\n"}
_VOID_COLOUR: Colour = (255, 255, 255)


@dataclass
class Written:
    """What was written for an item.

    Attributes:
        key: of the item.
        files: size in bytes of each file, by its path in the data set; photographs first.
        photos: paths of the photographs; `labels`: how many of them have labels.
        pixels: labelled pixels by class, 255 void; `images`: labels that have any of a class.
        error: why it was left out.
    """

    key: str
    files: dict[str, int] = field(default_factory=dict)
    photos: list[str] = field(default_factory=list)
    labels: int = 0
    pixels: dict[int, int] = field(default_factory=dict)
    images: dict[int, int] = field(default_factory=dict)
    error: str = ""


def mask_colours(inventory: Inventory) -> list[Colour]:
    """Return the 256 colours of the masks' palette: those of the classes, and white for void."""
    own = inventory.table.colours if inventory.table else inventory.colours
    return [*own[:VOID], *palette(VOID)[len(own) :], _VOID_COLOUR]


class Writer:
    """Writes items into a folder; safe to use from several threads.

    Args:
        files: the source.
        inventory: what is in it.
        settings: of the task.
        root: the folder.
    """

    def __init__(self, files: Files, inventory: Inventory, settings: PrepareSettings, root: Path) -> None:
        self._files, self._inventory, self._settings, self._root = files, inventory, settings, root
        self._colours = mask_colours(inventory)
        self._own_colours = bytes(itertools.chain(*inventory.table.colours)) if inventory.table else b""
        self._made: set[str] = set()

    def write(self, item: Item) -> Written:
        """Write one item.

        Raises:
            SourceError: a file is broken, and the inventory is strict.
            OutputError: the disk is full.
        """
        written = Written(item.key)
        try:
            changed = self._inventory.read_photo or self._inventory.cut or self._settings.crops or self._settings.resize
            if changed:
                self._write_pieces(item, written)
            else:
                self._write_as_is(item, written)
        except (PhotoError, SourceError) as error:
            if self._inventory.strict and isinstance(error, SourceError):
                raise
            if self._inventory.strict:
                raise SourceError(f"{shown(item.photo)} or its label is broken: {error.message}.") from error
            for path in written.files:
                (self._root / path).unlink(missing_ok=True)
            return Written(written.key, error=error.message)
        except MemoryError as error:
            raise SourceError(f"There is not enough memory for {shown(item.photo)}.") from error
        return written

    def _labels(self, item: Item) -> ClassMap | None:
        if not (item.labels or item.drawn):
            return None
        return self._inventory.read_label(item, [self._files.read(name) for name in item.labels])

    def _mask(self, item: Item) -> tuple[bytes, Image.Image] | None:
        """Return a label file and its picture if it can be copied: its palette has the colours of the classes."""
        if self._inventory.table is None or not self._inventory.as_is or not item.labels:
            return None
        content = self._files.read(item.labels[0])
        image = open_picture(content)
        if image.format != "PNG" or image.mode != "P" or image.palette is None:
            return None
        _, colours = image.palette.getdata()
        if not bytes(colours).startswith(self._own_colours):
            return None
        try:
            image.load()
        except Exception as error:
            raise PhotoError(f"broken: {error}") from error
        return content, image

    def _write_as_is(self, item: Item, written: Written) -> None:
        suffix = os.path.splitext(item.photo)[1]  # noqa: PTH122  (done for every file; see Files.put)
        name = f"imgs/{item.split}/{item.name}{suffix}"
        target = self._target(name)
        mask = self._mask(item)
        read = None if mask else self._labels(item)
        written.photos.append(name)
        written.files[name] = 0
        written.files[name], start = self._files.put(item.photo, target, self._settings.link)
        if not start:
            raise PhotoError("the file is empty")
        known = _STARTS.get(suffix.lower())
        # A picture is opened only if its first bytes are not those of the format that its name says, or if there is a
        # label to compare its size with.
        if mask or read is not None or (known is not None and not start.startswith(known)):
            size = photo_size(Path(target))
        if mask:
            content, image = mask
            _require_equal(size, image.size)
            self._put_label(item, "", content, image.histogram(), written)
        elif read is not None:
            _require_equal(size, read.shape[::-1])
            self._write_label(item, "", read, written)

    def _write_pieces(self, item: Item, written: Written) -> None:
        content = self._files.read(item.photo)
        image = (self._inventory.read_photo or rgb_of)(content)
        labels = self._labels(item)
        if labels is not None:
            _require_equal(image.size, labels.shape[::-1])
        lossless = self._inventory.read_photo is not None or Path(item.photo).suffix.lower() not in (".jpg", ".jpeg")
        for suffix, piece, part in self._pieces(item, image, labels):
            stream = io.BytesIO()
            if lossless:
                piece.save(stream, "PNG", compress_level=4)
            else:
                piece.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
            name = f"imgs/{item.split}/{item.name}{suffix}{'.png' if lossless else '.jpg'}"
            self._put(name, stream.getvalue(), written)
            if part is not None:
                self._write_label(item, suffix, part, written)

    def _pieces(self, item: Item, image: Image.Image, labels: ClassMap | None) -> Iterator[Piece]:
        whole: Piece = ("", image, labels)
        for suffix, piece, part in self._inventory.cut(image, labels) if self._inventory.cut else (whole,):
            boxes = self._crops(item, suffix, piece.size)
            for index, box in enumerate(boxes):
                number = f"_{index}" if len(boxes) > 1 else ""
                cut = None if part is None else part[box[1] : box[3], box[0] : box[2]]
                yield f"{suffix}{number}", *self._resized(piece.crop(box), cut)

    def _crops(self, item: Item, suffix: str, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        settings = self._settings
        if settings.crops is None or item.split == "val":  # photographs to measure on stay whole
            return [(0, 0, *size)]
        if settings.crops == "five":
            return five(*size, settings.ratio)
        return at_random(*size, settings.ratio, rank(settings.seed, item.name + suffix))

    def _resized(self, image: Image.Image, labels: ClassMap | None) -> tuple[Image.Image, ClassMap | None]:
        short = min(image.size)
        if self._settings.resize is None or short <= self._settings.resize:
            return image, labels
        scale = self._settings.resize / short
        width, height = (max(1, round(length * scale)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        return small, None if labels is None else resize_ids(labels, height, width)

    def _write_label(self, item: Item, suffix: str, labels: ClassMap, written: Written) -> None:
        labels = np.ascontiguousarray(labels)
        content = encode_mask(labels, self._colours)
        self._put_label(item, suffix, content, Image.fromarray(labels).histogram(), written)

    def _put_label(self, item: Item, suffix: str, content: bytes, counts: list[int], written: Written) -> None:
        classes = len(self._inventory.table.names) if self._inventory.table else VOID
        for index, count in enumerate(counts):
            if not count:
                continue
            if classes <= index < VOID:
                raise PhotoError(f"its label has class {index}; classes are 0 to {classes - 1}")
            written.pixels[index] = written.pixels.get(index, 0) + count
            written.images[index] = written.images.get(index, 0) + 1
        written.labels += 1
        self._put(f"labels/{item.split}/{item.name}{suffix}.png", content, written, photo=False)

    def _put(self, name: str, content: bytes, written: Written, photo: bool = True) -> None:
        written.files[name] = write_new(self._target(name), (content,))
        if photo:
            written.photos.append(name)

    def _target(self, name: str) -> str:
        """Return the path of a file, and make its folder."""
        below = name.rpartition("/")[0]
        if below not in self._made:
            folder = self._root / below
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OutputError(f"{shown(folder)} cannot be made: {error.strerror or error}.") from error
            self._made.add(below)
        return f"{self._root}/{name}"


def _require_equal(size: tuple[int, ...], label: tuple[int, ...]) -> None:
    if size != label:
        raise PhotoError(f"the photograph has {size[0]} x {size[1]} pixels, its label {label[0]} x {label[1]}")
