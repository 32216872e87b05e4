"""One example on disk: its photograph, or pieces of it, and its labels as palette PNGs of classes."""

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
from stego_cli.datasets.example import Example, Labels, Piece, Plan, PrepareSettings, open_picture, rank, rgb_of
from stego_cli.datasets.source import Files
from stego_cli.errors import OutputError, PhotoError, SourceError
from stego_cli.images.atomic import write_new
from stego_cli.images.decode import photo_size
from stego_cli.images.ids import resize_ids
from stego_cli.images.masks import encode_mask
from stego_cli.palette import Colour, palette
from stego_cli.text import shown

_QUALITY = 95  # of photographs that had to be encoded again, without loss of colour resolution
_STARTS = {".jpg": b"\xff\xd8", ".jpeg": b"\xff\xd8", ".png": b"\x89PNG\r\n\x1a\n"}
_VOID_COLOUR: Colour = (255, 255, 255)


@dataclass
class Written:
    """What became of an example.

    Attributes:
        key: split and name.
        files: size in bytes of each file, by its path in the data set; photographs first.
        photos, labels: how many photographs, and how many of them have labels.
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


def key_of(example: Example) -> str:
    """Return what names an example in the journal."""
    return f"{example.split}/{example.name}"


def mask_colours(plan: Plan) -> list[Colour]:
    """Return 256 colours for the masks' palette: the classes' own, and white for void."""
    own = plan.table.colours if plan.table else plan.colours
    return [*own[:VOID], *palette(VOID)[len(own) :], _VOID_COLOUR]


class Writer:
    """Writes examples into a folder; safe to use from several threads.

    Args:
        files: the source.
        plan: what is in it.
        settings: of the command.
        root: the folder.
    """

    def __init__(self, files: Files, plan: Plan, settings: PrepareSettings, root: Path) -> None:
        self._files, self._plan, self._settings, self._root = files, plan, settings, root
        self._colours = mask_colours(plan)
        self._own_colours = bytes(itertools.chain(*plan.table.colours)) if plan.table else b""
        self._made: set[str] = set()

    def write(self, example: Example) -> Written:
        """Write one example.

        Raises:
            SourceError: a file is broken, and the plan is strict.
            OutputError: the disk is full.
        """
        written = Written(key_of(example))
        try:
            changed = self._plan.read_photo or self._plan.cut or self._settings.crops or self._settings.resize
            if changed:
                self._write_pieces(example, written)
            else:
                self._write_as_is(example, written)
        except (PhotoError, SourceError) as error:
            if self._plan.strict and isinstance(error, SourceError):
                raise
            if self._plan.strict:
                raise SourceError(f"{shown(example.photo)} or its label is broken: {error.message}.") from error
            for path in written.files:
                (self._root / path).unlink(missing_ok=True)
            return Written(written.key, error=error.message)
        except MemoryError as error:
            raise SourceError(f"There is not enough memory for {shown(example.photo)}.") from error
        return written

    def _labels(self, example: Example) -> Labels | None:
        if not example.labels:
            return None
        return self._plan.read_label(example.labels, [self._files.read(name) for name in example.labels])

    def _mask(self, example: Example) -> tuple[bytes, Image.Image] | None:
        """Return a label file and its picture if it is already what would be written: the classes and their colours."""
        if self._plan.table is None or not self._plan.as_is or not example.labels:
            return None
        content = self._files.read(example.labels[0])
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

    def _write_as_is(self, example: Example, written: Written) -> None:
        suffix = os.path.splitext(example.photo)[1]  # noqa: PTH122  (done for every file; see Files.put)
        name = f"imgs/{example.split}/{example.name}{suffix}"
        target = self._target(name)
        mask = self._mask(example)
        read = None if mask else self._labels(example)
        written.photos.append(name)
        written.files[name] = 0
        written.files[name], start = self._files.put(example.photo, target, self._settings.link)
        if not start:
            raise PhotoError("the file is empty")
        known = _STARTS.get(suffix.lower())
        # A file's first bytes are a cheap way to see that it is a picture, and of the kind that its name says. One of
        # another kind can still be decoded; a label needs the size anyhow.
        if mask or read is not None or (known is not None and not start.startswith(known)):
            size = photo_size(Path(target))
        if mask:
            content, image = mask
            _require_equal(size, image.size)
            self._put_label(example, "", content, image.histogram(), written)
        elif read is not None:
            _require_equal(size, read.shape[::-1])
            self._write_label(example, "", read, written)

    def _write_pieces(self, example: Example, written: Written) -> None:
        content = self._files.read(example.photo)
        image = (self._plan.read_photo or rgb_of)(content)
        labels = self._labels(example)
        if labels is not None:
            _require_equal(image.size, labels.shape[::-1])
        lossless = self._plan.read_photo is not None or Path(example.photo).suffix.lower() not in (".jpg", ".jpeg")
        for suffix, piece, part in self._pieces(example, image, labels):
            stream = io.BytesIO()
            if lossless:
                piece.save(stream, "PNG", compress_level=4)
            else:
                piece.save(stream, "JPEG", quality=_QUALITY, subsampling=0)
            name = f"imgs/{example.split}/{example.name}{suffix}{'.png' if lossless else '.jpg'}"
            self._put(name, stream.getvalue(), written)
            if part is not None:
                self._write_label(example, suffix, part, written)

    def _pieces(self, example: Example, image: Image.Image, labels: Labels | None) -> Iterator[Piece]:
        whole: Piece = ("", image, labels)
        for suffix, piece, part in self._plan.cut(image, labels) if self._plan.cut else (whole,):
            boxes = self._crops(example, suffix, piece.size)
            for index, box in enumerate(boxes):
                number = f"_{index}" if len(boxes) > 1 else ""
                cut = None if part is None else part[box[1] : box[3], box[0] : box[2]]
                yield f"{suffix}{number}", *self._resized(piece.crop(box), cut)

    def _crops(self, example: Example, suffix: str, size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        settings = self._settings
        if settings.crops is None or example.split == "val":  # what is measured on stays whole
            return [(0, 0, *size)]
        if settings.crops == "five":
            return five(*size, settings.ratio)
        return at_random(*size, settings.ratio, rank(settings.seed, example.name + suffix))

    def _resized(self, image: Image.Image, labels: Labels | None) -> tuple[Image.Image, Labels | None]:
        short = min(image.size)
        if self._settings.resize is None or short <= self._settings.resize:
            return image, labels
        scale = self._settings.resize / short
        width, height = (max(1, round(length * scale)) for length in image.size)
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        return small, None if labels is None else resize_ids(labels, height, width)

    def _write_label(self, example: Example, suffix: str, labels: Labels, written: Written) -> None:
        labels = np.ascontiguousarray(labels)
        content = encode_mask(labels, self._colours)
        self._put_label(example, suffix, content, Image.fromarray(labels).histogram(), written)

    def _put_label(self, example: Example, suffix: str, content: bytes, counts: list[int], written: Written) -> None:
        classes = len(self._plan.table.names) if self._plan.table else VOID
        for index, count in enumerate(counts):
            if not count:
                continue
            if classes <= index < VOID:
                raise PhotoError(f"its label has class {index}; classes are 0 to {classes - 1}")
            written.pixels[index] = written.pixels.get(index, 0) + count
            written.images[index] = written.images.get(index, 0) + 1
        written.labels += 1
        self._put(f"labels/{example.split}/{example.name}{suffix}.png", content, written, photo=False)

    def _put(self, name: str, content: bytes, written: Written, photo: bool = True) -> None:
        written.files[name] = write_new(self._target(name), (content,))
        if photo:
            written.photos.append(name)

    def _target(self, name: str) -> str:
        """Return where a file goes; its folder is made."""
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
