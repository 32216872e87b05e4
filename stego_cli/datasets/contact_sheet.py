"""Contact sheets: some photographs of each split above their labels, or overlays; and a legend of the classes."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stego_cli.classes import ClassTable
from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode_whole
from stego_cli.images.ids import read_ids, resize_ids
from stego_cli.machine import cores

FILE = "contact.jpg"
_ACROSS, _SIDE, _GAP, _LINE = 8, 160, 8, 22  # pictures a row; pixels
_COMMENT = b"stego contact sheet"
OURS = re.compile(b"\xff\xd8.{,64}" + _COMMENT, re.DOTALL)  # what a sheet begins with
_PAPER, _INK, _NO_LABEL = (250, 250, 248), (40, 40, 40), (226, 226, 222)

Entry = tuple[str, tuple[int, int, int]]  # of a legend: name and colour


def contact_sheet(root: Path, photos: dict[str, list[str]], table: ClassTable | None) -> bytes:
    """Return a JPEG.

    Args:
        root: of the data set.
        photos: paths in it of the photographs to show, by split, at most 8 each.
        table: the classes; None without labels.
    """
    with ThreadPoolExecutor(cores()) as pool:
        pictures = pool.map(lambda photo: _pair(root, photo, table), itertools.chain(*photos.values()))
        blocks = [(split, len(those)) for split, those in photos.items()]
        return _drawn(blocks, pictures, 2 if table else 1, _entries(table))


def overlay_sheet(overlays: Sequence[Path], entries: Sequence[Entry]) -> bytes:
    """Return a JPEG of overlays, 8 a row, above a legend; it says of itself whose it is (`OURS`).

    Args:
        overlays: files; one that cannot be read is an empty square.
        entries: name and colour of each class.
    """
    rows = [("", len(overlays[start : start + _ACROSS])) for start in range(0, len(overlays), _ACROSS)]
    with ThreadPoolExecutor(cores()) as pool:
        pictures = pool.map(lambda file: (_photograph(file),), overlays)
        return _drawn(rows, pictures, 1, entries)


def _drawn(
    blocks: Sequence[tuple[str, int]],
    pictures: Iterator[tuple[Image.Image | None, ...]],
    rows: int,
    entries: Sequence[Entry],
) -> bytes:
    """Draw blocks, each with a title (empty: none) and a number of columns, whose pictures stand in rows."""
    font = ImageFont.load_default(14)
    heading = _LINE if any(title for title, _ in blocks) else 0
    block = heading + rows * (_SIDE + _GAP)
    legend = _legend_places(entries, font)
    width = _GAP + _ACROSS * (_SIDE + _GAP)
    height = _GAP + len(blocks) * block + (legend[-1][1] + _LINE if legend else 0) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for title, columns in blocks:
        draw.text((_GAP, top), title, _INK, font)
        for column, those in enumerate(itertools.islice(pictures, columns)):
            for row, picture in enumerate(those[:rows]):
                _paste(sheet, picture, _GAP + column * (_SIDE + _GAP), top + heading + row * (_SIDE + _GAP))
        top += block
    for (left, down), (name, colour) in zip(legend, entries, strict=True):
        draw.rectangle((left, top + down + 3, left + 12, top + down + 15), colour, _INK)
        draw.text((left + 18, top + down), name, _INK, font)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=88, comment=_COMMENT)
    return stream.getvalue()


def _entries(table: ClassTable | None) -> list[Entry]:
    return list(zip(table.names, table.colours, strict=True)) if table else []


def _legend_places(
    entries: Sequence[Entry], font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[int, int]]:
    """Return the place of each class in the legend, filled line by line."""
    places, left, down = [], _GAP, 0
    for name, _ in entries:
        wide = 18 + int(font.getlength(name)) + 18
        if left > _GAP and left + wide > _ACROSS * (_SIDE + _GAP):
            left, down = _GAP, down + _LINE
        places.append((left, down))
        left += wide
    return places


def _pair(root: Path, photo: str, table: ClassTable | None) -> tuple[Image.Image | None, Image.Image | None]:
    return _photograph(root / photo), _label(root, photo, table) if table else None


def _photograph(file: Path) -> Image.Image | None:
    try:
        image = decode_whole(file)
    except PhotoError:
        return None
    image.thumbnail((_SIDE, _SIDE))
    return image


def _label(root: Path, photo: str, table: ClassTable) -> Image.Image | None:
    file = root / Path("labels", *Path(photo).parts[1:]).with_suffix(".png")
    if not file.is_file():
        return None
    try:
        ids = read_ids(file)
    except PhotoError:
        return None
    scale = min(1.0, _SIDE / max(ids.shape))
    small = resize_ids(ids, *(max(1, round(length * scale)) for length in ids.shape))
    colours = np.full((256, 3), 255, dtype=np.uint8)
    own = table.colours
    colours[: len(own)] = own
    return Image.fromarray(colours[small])


def _paste(sheet: Image.Image, picture: Image.Image | None, left: int, top: int) -> None:
    """Paste a picture into the middle of its square, or draw an empty square if there is none."""
    if picture is None:
        picture = Image.new("RGB", (_SIDE, _SIDE), _NO_LABEL)
    sheet.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))
