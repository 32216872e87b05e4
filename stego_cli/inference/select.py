"""Which of the photographs a run is to do: its shard of them, what is new, what failed, what has no mask yet."""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stego_cli.errors import UsageError
from stego_cli.images.discover import Found, Photo

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`: photographs are dealt out by a hash of their paths.

    New photographs move no other one to another shard.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "I/N".

        Raises:
            UsageError: it is not I/N with 1 <= I <= N.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard is {text!r}; it is I/N with I from 1 to N, such as 2/8.")
        return cls(int(match[1]), int(match[2]))

    def holds(self, photo: Photo) -> bool:
        """Say whether the photograph belongs to this shard."""
        return zlib.crc32(photo.path.encode(errors="surrogateescape")) % self.count == self.index - 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_since(text: str) -> float:
    """Return seconds since the epoch of "2026-11-01", "2026-11-01T08:30" or, counted back from now, "90m", "12h", "7d".

    Raises:
        UsageError: it is none of them.
    """
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if match:
        return time.time() - int(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as error:
        raise UsageError(
            f"--since is {text!r}; it is a date such as 2026-11-01, or a time back such as 12h or 7d."
        ) from error


def chosen(found: Found, shard: Shard | None, since: float | None) -> list[Photo]:
    """Return the photographs of the shard that were changed at `since` or later; all where these are None."""
    photos = found.photos if shard is None else [photo for photo in found.photos if shard.holds(photo)]
    return photos if since is None else [photo for photo in photos if _changed(found.root / photo.path, since)]


def _changed(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since
    except OSError:
        return True  # opening it will say what is wrong with it
