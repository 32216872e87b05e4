"""JSON that is read back from files: bounded, finite, and of the types that are expected."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LIMIT = 64 << 20  # bytes of a file; the largest that this tool writes is a few megabytes


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
        return msgspec.convert(content, kind)
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
    with file.open("rb") as stream:
        return parse(stream.read(LIMIT + 1), kind)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value


def _refuse(name: str) -> Any:  # noqa: ANN401  (never returns)
    raise ValueError(f"{name} is no number")
