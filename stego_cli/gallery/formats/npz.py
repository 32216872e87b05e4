"""NPZ: a compressed array `labels`, uint8 (H, W), for each photograph, and classes.json with names and colours."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from stego_cli.classes_toml import hexadecimal, parse_colour
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
from stego_cli.text import shown

_CLASSES = "classes.json"


def encode(photo: PhotoLabels, classes: Sequence[ClassRow], shaping: Shaping) -> tuple[PhotoLabels, bytes]:
    """Return the file's content."""
    stream = io.BytesIO()
    np.savez_compressed(stream, labels=photo.labels)
    return photo, stream.getvalue()


def write(
    encoded: Iterable[tuple[PhotoLabels, bytes]], classes: Sequence[ClassRow], out: Path, shaping: Shaping
) -> None:
    """Write the arrays and classes.json."""
    photographs = {}
    for photo, content in encoded:
        write_file(out, f"{photo.stem}.npz", content)
        photographs[f"{photo.stem}.npz"] = photo.path
        if shaping.with_photos:
            place_photo(photo, out, f"{photo.stem}{Path(photo.path).suffix}")
    rows = [{"name": row.name, "colour": hexadecimal(row.colour)} for row in classes]
    write_file(out, _CLASSES, json.dumps({"classes": rows, "void": 255, "photographs": photographs}).encode())


def read(source: Path) -> Imported:
    """Read a folder that this tool wrote.

    Raises:
        UsageError: it is none.
    """
    try:
        content = json.loads((source / _CLASSES).read_bytes())
        classes = [
            ClassRow(str(row["name"]), parse_colour(row["colour"]) or (0, 0, 0), index)
            for index, row in enumerate(content["classes"])
        ]
        photographs = [(str(file), str(path)) for file, path in content["photographs"].items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{shown(source / _CLASSES)} is missing or broken: {error!r}.") from error
    return Imported(classes, [ImportedPhoto(path, _reader(source / file)) for file, path in photographs])


def _reader(file: Path) -> Callable[[], Labels]:
    def labels() -> Labels:
        try:
            with np.load(file) as arrays:
                found = arrays["labels"]
        except (OSError, ValueError, KeyError, zlib.error, zipfile.BadZipFile) as error:
            raise PhotoError(f"missing or broken: {error}") from error
        if found.ndim != 2 or found.dtype != np.uint8:
            raise PhotoError("not an array of labels")
        result: Labels = found
        return result

    return labels
