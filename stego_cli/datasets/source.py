"""What the user gives: folders and archives, seen as one collection of files by relative name.

Hidden files are passed over, and so is `__MACOSX`. Below a folder, links to files are followed and links to folders
are not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from stego_cli.datasets.archive import Archive, is_archive, open_archive
from stego_cli.errors import OutputError, SourceError
from stego_cli.images.atomic import shown

_TEXT = 64 << 20  # bytes; a list of names is smaller


class _Folder:
    def __init__(self, root: Path, skip: Path | None) -> None:
        self.root = root
        self.sizes = dict(walk(root, skip))

    def read(self, name: str) -> bytes:
        try:
            return (self.root / name).read_bytes()
        except OSError as error:
            raise SourceError(f"{shown(self.root / name)} cannot be read: {error.strerror or error}.") from error

    def close(self) -> None:
        pass


class Files:
    """Files of several sources; where two have the same name, the first source counts. A context manager.

    Args:
        sources: folders and archives, each with the folder that its names are put below ("" for none).
        scratch: folder for what must be unpacked on the way.
        within: open archives that lie in the folders too, as if they were unpacked in place.
        skip: a folder not to look into: what is made of the sources may lie among them.

    Raises:
        SourceError: a source is missing or cannot be used.
    """

    def __init__(
        self, sources: Iterable[tuple[str, Path]], scratch: Path, within: bool, skip: Path | None = None
    ) -> None:
        self._skip = skip
        self._stores: list[Archive] = []
        self._where: dict[str, tuple[int, str]] = {}
        try:
            for below, source in sources:
                self._add(source, below, scratch, within)
        except BaseException:
            self.__exit__()
            raise

    def _add(self, source: Path, below: str, scratch: Path, within: bool) -> None:
        if not source.exists():
            raise SourceError(f"{shown(source)} does not exist.", "Give a folder or an archive.")
        if not source.is_dir():
            self._index(open_archive(source, scratch), below)
            return
        folder = _Folder(source, self._skip)
        self._index(folder, below)
        for name in sorted(folder.sizes) if within else ():
            if is_archive(source / name):
                self._index(open_archive(source / name, scratch), f"{below}/{name}".strip("/").rpartition("/")[0])

    def _index(self, store: Archive, below: str) -> None:
        self._stores.append(store)
        for name in store.sizes:
            plain = name.removeprefix("./")
            if not any(part.startswith(".") or part == "__MACOSX" for part in plain.split("/")):
                self._where.setdefault(f"{below}/{plain}" if below else plain, (len(self._stores) - 1, name))

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *error: object) -> None:
        for store in self._stores:
            store.close()

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def read(self, name: str) -> bytes:
        """Return a file's content; from any thread.

        Raises:
            SourceError: it is damaged.
        """
        store, own = self._where[name]
        return self._stores[store].read(own)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a text file that hold something.

        Raises:
            SourceError: it is no text, or damaged.
        """
        store, own = self._where[name]
        if self._stores[store].sizes[own] > _TEXT:
            raise SourceError(f"{shown(name)} is too large for a list of names.")
        try:
            text = self.read(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceError(f"{shown(name)} is not UTF-8 text.") from error
        return [line.strip() for line in text.splitlines() if line.strip()]

    def put(self, name: str, target: str, link: bool) -> tuple[int, bytes]:
        """Bring a file to `target`, byte for byte, and return its size and its first 8 bytes; `link`: as a hard link.

        `target` is text, and so are paths inside, since this is done for every file: a Path costs more than the system
        calls.

        Raises:
            SourceError: it cannot be read.
            OutputError: `target` cannot be written or linked.
        """
        store, own = self._where[name]
        found = self._stores[store]
        content = None if isinstance(found, _Folder) else found.read(own)
        path = f"{found.root}/{own}" if isinstance(found, _Folder) else ""
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(target)  # noqa: PTH108  (a link that an earlier run made would be written through)
            if content is not None:
                with open(target, "wb") as stream:  # noqa: PTH123
                    stream.write(content)
                return len(content), content[:8]
            if link:
                os.link(os.path.realpath(path), target)
            else:
                shutil.copyfile(path, target)
            with open(target, "rb") as stream:  # noqa: PTH123
                return os.fstat(stream.fileno()).st_size, stream.read(8)
        except OSError as error:
            if path and not Path(path).is_file():
                raise SourceError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
            remedy = "Leave out --link: hard links need one file system." if link else "Free some space."
            raise OutputError(f"{shown(target)} cannot be written: {error.strerror or error}.", remedy) from error

    def root_of(self, tail: str, prefer: str = "") -> str | None:
        """Return what stands before `tail` in the one name that ends with it ("" or "a/b/"); None if none does.

        Where several do, the one with `prefer` in it counts.

        Raises:
            SourceError: there are still several.
        """
        roots = [name.removesuffix(tail) for name in self._where if name == tail or name.endswith("/" + tail)]
        if len(roots) > 1:
            roots = [root for root in roots if prefer and prefer in root] or roots
        if len(roots) > 1:
            raise SourceError(f"There are {len(roots)} folders with {tail}: {', '.join(map(shown, roots[:3]))}.")
        return roots[0] if roots else None


def walk(root: Path, skip: Path | None) -> Iterator[tuple[str, int]]:
    """Yield relative name and size of each file below a folder, but not below `skip`, in a fixed order.

    Raises:
        SourceError: a folder cannot be read.
    """
    skipped = None if skip is None else os.path.realpath(skip)
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
        except OSError as error:
            raise SourceError(f"The folder {shown(root / below)} cannot be read: {error.strerror or error}.") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{below}/{entry.name}" if below else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if os.path.realpath(entry.path) != skipped:
                        waiting.append(name)
                elif entry.is_file():
                    yield name, entry.stat().st_size
            except OSError:
                continue  # a link to itself, or a file that has just gone


def identity(source: Path, skip: Path) -> dict[str, object]:
    """Return what tells whether a source is the one it was: sizes and names, not times, which copying changes."""
    if not source.is_dir():
        return {"name": source.name, "bytes": source.stat().st_size if source.exists() else -1}
    digest, count = hashlib.sha256(), 0
    for name, size in sorted(walk(source, skip)):
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        count += 1
    return {"name": source.name, "files": count, "sha256": digest.hexdigest()}


def after(pattern: str, files: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield each name whose end matches `pattern`, which begins at the start of a folder's or file's name."""
    compiled = re.compile(f"(?:.*/)?{pattern}")
    for name in files:
        if found := compiled.fullmatch(name):
            yield name, found
