"""The contact sheet: a few photographs of each split above their labels, and a legend of the classes."""

from __future__ import annotations

import io
import itertools
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
_PAPER, _INK, _NO_LABEL = (250, 250, 248), (40, 40, 40), (226, 226, 222)


def contact_sheet(root: Path, photos: dict[str, list[str]], table: ClassTable | None) -> bytes:
    """Return a JPEG.

    Args:
        root: of the data set.
        photos: paths in it of the photographs to show, by split, at most 8 each.
        table: the classes; None without labels.
    """
    font = ImageFont.load_default(14)
    block = _LINE + (2 if table else 1) * (_SIDE + _GAP)
    legend = _legend_places(table, font)
    width = _GAP + _ACROSS * (_SIDE + _GAP)
    height = _GAP + len(photos) * block + (legend[-1][1] + _LINE if legend else 0) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    with ThreadPoolExecutor(cores()) as pool:
        pictures = pool.map(lambda photo: _pair(root, photo, table), itertools.chain(*photos.values()))
        for split, those in photos.items():
            draw.text((_GAP, top), split, _INK, font)
            for column, (photograph, label) in enumerate(itertools.islice(pictures, len(those))):
                left = _GAP + column * (_SIDE + _GAP)
                _paste(sheet, photograph, left, top + _LINE)
                if table:
                    _paste(sheet, label, left, top + _LINE + _SIDE + _GAP)
            top += block
    for (left, down), (name, colour) in zip(legend, _entries(table), strict=True):
        draw.rectangle((left, top + down + 3, left + 12, top + down + 15), colour, _INK)
        draw.text((left + 18, top + down), name, _INK, font)
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _entries(table: ClassTable | None) -> list[tuple[str, tuple[int, int, int]]]:
    return list(zip(table.names, table.colours, strict=True)) if table else []


def _legend_places(
    table: ClassTable | None, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> list[tuple[int, int]]:
    """Return the place of each class in the legend, filled line by line."""
    places, left, down = [], _GAP, 0
    for name, _ in _entries(table):
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
