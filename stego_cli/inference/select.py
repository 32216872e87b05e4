"""Which photographs a run does: those of its shard, those that are new, those that failed, those without a mask."""

from __future__ import annotations

import re
import time
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from stego_cli.errors import UsageError
from stego_cli.images.discover import Found, Photo
from stego_cli.images.journal import Entry, is_done
from stego_cli.inference.outputs import place
from stego_cli.inference.summary import Summary

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 1) of `count`. A hash of its path decides the shard of a photograph.

    New photographs therefore leave the shards of the others unchanged.
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
            raise UsageError(f"must be I/N with I from 1 to N, such as 2/8, got {text!r}", field="shard")
        return cls(int(match[1]), int(match[2]))

    def holds(self, photo: Photo) -> bool:
        """Return whether the photograph belongs to this shard."""
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
            f"must be a date such as 2026-11-01, or a time back such as 12h or 7d, got {text!r}", field="since"
        ) from error


@dataclass(frozen=True)
class Selection:
    """The part of a tree that a run looks at.

    Attributes:
        shard: None: all of it.
        since: only photographs that were changed at this time or later, in seconds since the epoch; None: any.
    """

    shard: Shard | None
    since: float | None

    @classmethod
    def parse(cls, shard: str | None, since: str | None) -> Selection:
        """Read "I/N" and a date or a time back, such as "7d"; None selects all.

        Raises:
            UsageError: one of them makes no sense.
        """
        return cls(Shard.parse(shard) if shard else None, parse_since(since) if since else None)

    def of(self, found: Found) -> Found:
        """Return what was found, with the selected photographs alone."""
        return replace(found, photos=self._some(found.photos, found.root), large=self._some(found.large, found.root))

    def _some(self, photos: list[Photo], root: Path) -> list[Photo]:
        some = [photo for photo in photos if self.shard is None or self.shard.holds(photo)]
        return some if self.since is None else [photo for photo in some if _changed(root / photo.path, self.since)]


def still_to_do(
    found: Found, masks: Path, entries: dict[str, Entry], also: tuple[str, ...], retry_failed: bool, summary: Summary
) -> list[Photo]:
    """Return the photographs to do, and count the others in `summary`.

    Args:
        found: the photographs.
        masks: the output folder.
        entries: of its journals.
        also: outputs beside the mask that must be there too.
        retry_failed: do only photographs that failed before.
        summary: gets `left`, `kept` and the pixels of the masks that are kept.
    """
    todo = []
    for photo in found.photos:
        entry = entries.get(photo.path)
        if retry_failed and (entry is None or entry.status != "failed"):
            summary.left += 1
        elif is_done(entry, photo, found.root, masks) and all(
            (masks / place(photo.mask, name)).is_file() for name in also
        ):
            summary.kept += 1
            summary.pixels.update((entry and entry.pixels) or {})
        else:
            todo.append(photo)
    return todo


def _changed(path: Path, since: float) -> bool:
    try:
        return path.stat().st_mtime >= since
    except OSError:
        return True  # the reason is found when it is opened
