"""The folders and archives that the user gives, as one collection of files by relative name.

Hidden files and `__MACOSX` are skipped. Below a folder, links to files are followed and links to folders are not.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path

from stego_cli.datasets.archive import PIECE, Archive, is_archive, open_archive
from stego_cli.errors import OutputError, SourceError, setting
from stego_cli.images.atomic import write_new
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

LISTS, LABELS = "(lists)", "(labels)"  # folders below which the files of these settings appear
_TEXT = 64 << 20  # bytes; a list of names is smaller


def mounts(settings: PrepareSettings, given: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return all that is read, each with the folder below which its files appear: the sources, lists, labels."""
    more = [(LISTS, settings.lists), (LABELS, settings.labels)]
    return [("", source) for source in given] + [(below, path) for below, path in more if path is not None]


class _FolderFiles:
    def __init__(self, root: Path, skip: Path | None) -> None:
        self.root = root
        self.sizes = dict(walk(root, skip))

    def read(self, name: str) -> bytes:
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        path = f"{self.root}/{name}"
        size = min(self.sizes[name] + 1, PIECE)  # a larger buffer than needed takes time
        try:
            with open(path, "rb", buffering=0) as stream:  # noqa: PTH123  (see Files.put)
                while piece := stream.read(size):
                    yield piece
        except OSError as error:
            raise SourceError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error

    def close(self) -> None:
        pass


class Files:
    """Files of several sources; where two have the same name, that of the first source counts. A context manager.

    Args:
        sources: folders and archives, each with the folder below which its files appear ("" for none).
        scratch: folder for the unpacked content of compressed tars.
        within: also open archives in the folders, as if they were unpacked there.
        skip: a folder not to look into, since the output may be inside a source.

    Attributes:
        given: the names of the sources, for messages.
        looked_through: sizes by name in each source that is a folder.

    Raises:
        SourceError: a source is missing or cannot be used.
    """

    def __init__(
        self, sources: Sequence[tuple[str, Path]], scratch: Path, within: bool, skip: Path | None = None
    ) -> None:
        self._skip = skip
        self.given = " ".join(shown(source) for below, source in sources if not below)
        self.looked_through: dict[Path, dict[str, int]] = {}
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
        folder = _FolderFiles(source, self._skip)
        self.looked_through[source] = folder.sizes
        self._index(folder, below)
        for name in sorted(filter(is_archive, folder.sizes)) if within else ():
            self._index(open_archive(source / name, scratch), f"{below}/{name}".strip("/").rpartition("/")[0])

    def _index(self, store: Archive, below: str) -> None:
        self._stores.append(store)
        # Some programs on Windows write names like images\\a.jpg; unpacked elsewhere these are names of files.
        windows = any("\\" in name for name in store.sizes) and not any("/" in name for name in store.sizes)
        for name in store.sizes:
            plain = (name.replace("\\", "/") if windows else name).removeprefix("./")
            whole = f"/{plain}/"
            if "/." not in whole and "/__MACOSX/" not in whole:
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
        """Return the lines of a text file that are not empty, without space around them.

        Raises:
            SourceError: it is not text, or damaged.
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
        """Copy a file to `target`, or make a hard link to it, and return its size and its first 8 bytes.

        `target` and the paths inside are text, since this is done for each file: a Path costs more than the system
        calls.

        Raises:
            SourceError: it cannot be read.
            OutputError: `target` cannot be written or linked.
        """
        store, own = self._where[name]
        found = self._stores[store]
        if link and isinstance(found, _FolderFiles):
            return _link(f"{found.root}/{own}", target)
        pieces = found.pieces(own)
        start = next(pieces, b"")
        return write_new(target, itertools.chain((start,), pieces)), start[:8]

    def root_of(self, tail: str, prefer: str = "") -> str | None:
        """Return the part before `tail` of the name that ends with it ("" or "a/b/"); None if there is no such name.

        If there are several, the one with `prefer` in it is taken.

        Raises:
            SourceError: there are several, and `prefer` does not decide.
        """
        roots = [name.removesuffix(tail) for name in self._where if name == tail or name.endswith("/" + tail)]
        if len(roots) > 1:
            roots = [root for root in roots if prefer and prefer in root] or roots
        if len(roots) > 1:
            raise SourceError(f"There are {len(roots)} folders with {tail}: {', '.join(map(shown, roots[:3]))}.")
        return roots[0] if roots else None


def _link(path: str, target: str) -> tuple[int, bytes]:
    """Make a hard link to the file at `path`, or that `path` links to, and return its size and first 8 bytes."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)  # noqa: PTH108
        os.link(os.path.realpath(path) if os.path.islink(path) else path, target)  # noqa: PTH114
        with open(target, "rb", buffering=0) as stream:  # noqa: PTH123
            return os.fstat(stream.fileno()).st_size, stream.read(8)
    except OSError as error:
        if not Path(path).is_file():
            raise SourceError(f"{shown(path)} cannot be read: {error.strerror or error}.") from error
        raise OutputError(
            f"{shown(target)} cannot be written: {error.strerror or error}.",
            f"Leave out {setting('link')}: hard links need one file system.",
        ) from error


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
            entries = sorted(os.scandir(root / below), key=attrgetter("name"))
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


def identity(source: Path, skip: Path, sizes: dict[str, int] | None = None) -> dict[str, object]:
    """Return what identifies a source: names and sizes of files, not their times, which copying changes.

    Args:
        source: a folder or an archive.
        skip: a folder not to look into.
        sizes: of the files in the folder, if they were listed already.
    """
    if not source.is_dir():
        return {"name": source.name, "bytes": source.stat().st_size if source.exists() else -1}
    files = sorted(walk(source, skip) if sizes is None else sizes.items())
    content = "".join(f"{name}\0{size}\0" for name, size in files).encode("utf-8", "surrogateescape")
    return {"name": source.name, "files": len(files), "sha256": hashlib.sha256(content).hexdigest()}


def after(pattern: str, files: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield each name whose last folders and file name match `pattern`."""
    compiled = re.compile(f"(?:.*/)?{pattern}")
    for name in files:
        if found := compiled.fullmatch(name):
            yield name, found
