"""JSON that is read back from files: bounded, finite, and of the types that are expected."""

from __future__ import annotations

import contextlib
import errno
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from stego_cli.regular_file import read_regular

T = TypeVar("T")
LIMIT = 64 << 20  # bytes of a file; the largest that this tool writes is a few megabytes
_LONGEST_LINE = 1 << 20  # bytes; those that this tool writes have a few kilobytes


def parse(text: str | bytes, kind: type[T]) -> T:
    """Return what JSON text says, as an object of `kind`; keys that it has no field for are passed over.

    Args:
        text: the JSON.
        kind: a dataclass, or a Struct of msgspec, whose annotations are the schema.

    Raises:
        ValueError: it is no JSON, has other types or values than `kind` says (the key is named), numbers that are not
            finite, too many levels, or is too long.
    """
    import msgspec

    if len(text) > LIMIT:
        raise ValueError(f"it is longer than {LIMIT >> 20} MB")
    try:
        # The standard library reads names that are not valid Unicode, as file names may be, and msgspec does not.
        content = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        return msgspec.convert(content, kind, str_keys=True)
    except RecursionError as error:
        raise ValueError("it has too many levels") from error
    except msgspec.ValidationError as error:
        raise ValueError(" ".join(str(error).split())) from error


def parse_file(file: Path, kind: type[T]) -> T:
    """Return what a JSON file says.

    Raises:
        OSError: it cannot be read.
        ValueError: as `parse`.
    """
    try:
        text = read_regular(file, LIMIT)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ValueError(f"it is longer than {LIMIT >> 20} MB") from error
        raise
    return parse(text, kind)


def parse_lines(stream: BinaryIO, kind: type[T], size: int | None = None) -> Iterator[T]:
    """Yield what the lines of a file say, from where the stream is.

    Lines that say something else are passed over: cut short by the end of the run that wrote them, damaged, too long.

    Args:
        stream: of bytes.
        kind: as `parse`.
        size: only lines that begin within so many bytes count; None: all.
    """
    read, whole = 0, True
    while (size is None or read < size) and (line := stream.readline(_LONGEST_LINE)):
        read += len(line)
        is_start, whole = whole, line.endswith(b"\n")
        if is_start and (whole or len(line) < _LONGEST_LINE):
            with contextlib.suppress(ValueError):
                yield parse(line, kind)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _refuse(name: str) -> Any:  # noqa: ANN401  (never returns)
    raise ValueError(f"{name} is no number")
