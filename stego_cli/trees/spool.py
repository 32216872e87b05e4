"""A listing of any length on disk, divided so that each part fits into memory and has all that belongs together.

What belongs together are files of one folder whose names are the same up to the first dot, without regard to case: they
may have claims to the same mask, and masks are named after their photographs. A hash of that decides the bucket.
"""

from __future__ import annotations

import json
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stego_cli.trees.tree import Listed

BUCKETS = 4096
_IN_MEMORY = 200_000  # lines before they are written
_GROUP = 100_000  # lines of the buckets that are looked at together


def bucket_of(path: str) -> int:
    """Return the number of the bucket of a file, 0 to 4095."""
    folder, slash, name = path.rpartition("/")
    key = f"{folder}{slash}{name.partition('.')[0]}"
    key = key.lower() if key.isascii() else unicodedata.normalize("NFC", key).casefold()
    return zlib.crc32(key.encode(errors="surrogatepass")) * BUCKETS >> 32


@dataclass(frozen=True)
class Group:
    """Some buckets that are next to each other.

    Attributes:
        first: number of the first bucket; `last`: of the last.
        photos: files in them.
        masks: files in the output tree, by path.
    """

    first: int
    last: int
    photos: list[Listed]
    masks: dict[str, Listed]


class Spool:
    """The listing of photographs and masks in a folder of its own.

    Args:
        folder: empty; about 100 bytes are written to it for each file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[tuple[str, int], list[str]] = {}
        self._waiting = 0
        self._counts = [0] * BUCKETS
        self.photos = 0

    def add_photos(self, files: Iterable[Listed]) -> None:
        """Write down photographs."""
        for file in files:
            self.photos += 1
            self._add("photos", file)

    def add_masks(self, files: Iterable[Listed]) -> None:
        """Write down what is in the output tree."""
        for file in files:
            self._add("masks", file)

    def _add(self, kind: str, file: Listed) -> None:
        bucket = bucket_of(file.path)
        self._counts[bucket] += 1
        line = json.dumps([file.path, file.size, file.mtime, file.md5])
        self._lines.setdefault((kind, bucket), []).append(line)
        self._waiting += 1
        if self._waiting >= _IN_MEMORY:
            self._write()

    def _write(self) -> None:
        for (kind, bucket), lines in self._lines.items():
            with self._file(kind, bucket).open("a", encoding="ascii") as stream:
                stream.writelines(f"{line}\n" for line in lines)
        self._lines.clear()
        self._waiting = 0

    def groups(self, most: int = _GROUP) -> Iterator[Group]:
        """Yield buckets of up to `most` files together, but whole ones, and none without a photograph."""
        self._write()
        first = 0
        while first < BUCKETS:
            last, count = first, self._counts[first]
            while last + 1 < BUCKETS and count + self._counts[last + 1] <= most:
                last += 1
                count += self._counts[last]
            group = self._group(first, last)
            if group.photos:
                yield group
            first = last + 1

    def _group(self, first: int, last: int) -> Group:
        photos = [file for bucket in range(first, last + 1) for file in self._read("photos", bucket)]
        masks = {file.path: file for bucket in range(first, last + 1) for file in self._read("masks", bucket)}
        return Group(first, last, sorted(photos, key=lambda file: file.path), masks)

    def _read(self, kind: str, bucket: int) -> Iterator[Listed]:
        file = self._file(kind, bucket)
        if file.exists():
            with file.open(encoding="ascii") as stream:
                for line in stream:
                    yield Listed(*json.loads(line))

    def _file(self, kind: str, bucket: int) -> Path:
        return self._folder / f"{kind}-{bucket:04}"
