"""Whether a file that is to be written may be: it is absent, empty, or one that this tool wrote before."""

from __future__ import annotations

import re
from pathlib import Path

from stego_cli.errors import OutputError, UsageError, setting
from stego_cli.text import shown

_HEAD = 1 << 16  # bytes in which a file of ours is recognised


def require_ours_or_absent(file: Path | None, ours: re.Pattern[bytes], overwrite: bool | None) -> None:
    """Refuse to replace a file that this tool did not write.

    Args:
        file: to be written; None and "-" are no files.
        ours: matches the beginning of such a file, if this tool wrote it.
        overwrite: whether it may be replaced all the same; None: the caller has no such setting.

    Raises:
        UsageError: something else has its name.
        OutputError: it is no regular file, or cannot be read.
    """
    if file is None or str(file) == "-" or not file.exists():
        return
    if file.is_dir():
        raise OutputError(f"{shown(file)} is a folder.", "Give the name of a file.")
    if not file.is_file():
        raise OutputError(f"{shown(file)} is not a regular file.", "Give the name of a file, or - where it is allowed.")
    if overwrite:
        return
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError as error:
        raise OutputError(f"{shown(file)} is there and cannot be read: {error.strerror or error}.") from error
    if head and not ours.match(head):
        remedy = "Give another name" + ("." if overwrite is None else f", or {setting('overwrite', True)}.")
        raise UsageError(f"{shown(file)} is there, and is not one that this tool wrote.", remedy)
