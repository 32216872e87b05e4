"""Pascal VOC: palette PNGs in SegmentationClass/, their colours in labelmap.txt, as CVAT and datumaro have it.

Index 0 is the background, which no pixel has here; class i has index i + 1, and pixels without a class 255.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from stego_cli.classes import VOID
from stego_cli.errors import PhotoError, UsageError
from stego_cli.gallery.formats.common import (
    ClassRow,
    Imported,
    ImportedPhoto,
    Labels,
    PhotoLabels,
    Shaping,
    place_photo,
    write_file,
)
from stego_cli.images.decode import open_photo
from stego_cli.images.masks import encode_mask
from stego_cli.palette import Colour

_VOID_COLOUR: Colour = (224, 224, 192)  # as in the data set itself
_BACKGROUND, _VOID = "background", "ignored"  # as CVAT and datumaro name them
_MASKS = "SegmentationClass"
_LINE = re.compile(r"(.*?):(\d+),(\d+),(\d+):.*")


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, bytes]:
    """Return the mask's content."""
    if len(classes) > VOID - 1:
        raise UsageError(f"VOC masks hold {VOID - 1} classes; there are {len(classes)}.")
    colours = [(0, 0, 0), *(row.colour for row in distinct(classes))]
    colours += [(0, 0, 0)] * (VOID - len(colours)) + [_VOID_COLOUR]
    labels = np.where(photo.labels == VOID, VOID, photo.labels + np.uint8(1)).astype(np.uint8)
    return photo, encode_mask(labels, colours)


def write(
    encoded: Iterable[tuple[PhotoLabels, bytes]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write masks, labelmap.txt and the list of photographs."""
    stems = []
    for photo, content in encoded:
        write_file(out, f"{_MASKS}/{photo.stem}.png", content)
        stems.append(photo.stem)
        if shaping.with_photos:
            place_photo(photo, out, f"JPEGImages/{photo.stem}{Path(photo.path).suffix}")
    rows = [f"{_BACKGROUND}:0,0,0::"]
    rows += [f"{row.name}:{','.join(map(str, row.colour))}::" for row in distinct(classes)]
    rows.append(f"{_VOID}:{','.join(map(str, _VOID_COLOUR))}::")  # a colour that is not listed is refused by them
    write_file(out, "labelmap.txt", ("# label:color_rgb:parts:actions\n" + "\n".join(rows) + "\n").encode())
    write_file(out, "ImageSets/Segmentation/default.txt", "".join(f"{stem}\n" for stem in stems).encode())


def read(source: Path) -> Imported:
    """Read masks by the colours in labelmap.txt.

    Raises:
        UsageError: there is no such file, or it cannot be understood.
    """
    try:
        lines = (source / "labelmap.txt").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source / 'labelmap.txt'} cannot be read: {error}.") from error
    rows = [_LINE.fullmatch(line) for line in lines if line.strip() and not line.startswith("#")]
    found = [(row[1], (int(row[2]), int(row[3]), int(row[4]))) for row in rows if row]
    classes = [
        ClassRow(name, colour, index)
        for index, (name, colour) in enumerate(each for each in found if each[0] not in (_BACKGROUND, _VOID))
    ]
    if not classes:
        raise UsageError(f"{source / 'labelmap.txt'} lists no classes.")
    of_colour = {_code(row.colour): row.value for row in classes}
    folder = source / _MASKS
    return Imported(
        classes,
        [
            ImportedPhoto(file.relative_to(folder).as_posix(), lambda file=file: _labels(file, of_colour))  # type: ignore[misc]  # mypy sees no type for a default of a lambda
            for file in sorted(folder.rglob("*.png"))
        ],
    )


def distinct(classes: Sequence[ClassRow]) -> list[ClassRow]:
    """Return the classes with names that a line can hold, and no name or colour twice, the background's included."""
    taken, names = {(0, 0, 0), _VOID_COLOUR}, {_BACKGROUND, _VOID}
    rows = []
    for row in classes:
        code = _code(row.colour)
        while (code >> 16, code >> 8 & 255, code & 255) in taken:
            code = (code + 1) % 2**24
        colour = (code >> 16, code >> 8 & 255, code & 255)
        taken.add(colour)
        name = _plain(row.name)
        name = name if name not in names else f"{name} ({row.value})"
        names.add(name)
        rows.append(ClassRow(name, colour, row.value))
    return rows


def _labels(file: Path, of_colour: dict[int, int]) -> Labels:
    with open_photo(file) as image:
        try:
            rgb = np.asarray(image.convert("RGB"), np.int64)
        except (OSError, ValueError) as error:
            raise PhotoError(f"broken: {error}") from error
    codes, inverse = np.unique(rgb @ np.array([65536, 256, 1]), return_inverse=True)
    values = np.array([of_colour.get(int(code), VOID) for code in codes], np.uint8)
    labels: Labels = values[inverse].reshape(rgb.shape[:2])
    return labels


def _code(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _plain(name: str) -> str:
    """Return a name without what separates fields and lines."""
    return re.sub(r"[:,\s]+", " ", name).strip() or "class"
