"""Which photographs there are below a folder, and which mask each of them gets.

Policy: what is passed over is counted, by reason. Hidden files and folders are passed over, and so is what looks like a
mask of a photograph beside it. A link to a file is followed; a link to a folder only if that is asked for, and then
each folder is entered once, so loops end. A folder of masks, this run's or another's, is never looked into, and no mask
is ever placed among the photographs, or through a link to another folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from stego_cli.errors import NoInputError, UsageError, setting
from stego_cli.images.atomic import require_no_links
from stego_cli.images.mask_like import mask_like
from stego_cli.images.readers.table import RAW_SUFFIXES, SUFFIXES
from stego_cli.reading import Walk
from stego_cli.text import shown

# Names of pictures, and of those that are listed as photographs and refused by name when they are opened.
DECODED = SUFFIXES
UNDECODED = RAW_SUFFIXES
_OFFERED = DECODED | UNDECODED

STATE = ".stego"  # the folder in an output folder by which it is recognised as one
_LISTED = 1000  # paths that are kept of those that are passed over for one reason


class Reason(StrEnum):
    """Why files or folders are passed over, as text that follows their number."""

    HIDDEN = "hidden"
    NAME = "not named like a picture"
    MASK = "named like the mask of a photograph beside it"
    LINK = "a link to a folder"
    NOT_FILE = "a pipe, socket or device"
    OUTPUT = "a folder of a run's masks"
    PATTERN = "left out by a pattern"


@dataclass(frozen=True)
class Photo:
    """A photograph and the place of its mask, both relative: to the input folder and to the output folder.

    Of a part of a larger file `path` is its identity, such as "town.tif#window=0,0,672,672", and `of` the file.
    """

    path: str
    mask: str
    of: str = ""

    @property
    def file(self) -> str:
        """The file that it is in, relative to the input folder."""
        return self.of or self.path


@dataclass
class Passed:
    """What was passed over for one reason: how many, and the paths of the first thousand."""

    count: int = 0
    paths: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.paths) < _LISTED:
            self.paths.append(path)


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        root: the input folder.
        photos: in the order of their paths.
        unreadable: folders that could not be listed, with the reason.
        passed: what was passed over, by reason, with paths relative to `root`.
        large: files that are segmented in parts, which are not among `photos`.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    passed: defaultdict[Reason, Passed] = field(default_factory=lambda: defaultdict(Passed))
    large: list[Photo] = field(default_factory=list)

    @property
    def outputs(self) -> list[str]:
        """Folders passed over because they hold the masks of another run."""
        return self.passed.get(Reason.OUTPUT, Passed()).paths

    @property
    def others(self) -> int:
        """Number of files passed over because their names are not those of pictures."""
        return self.passed.get(Reason.NAME, Passed()).count


def find_photos(
    root: Path, exclude: Path | None = None, walk: Walk = Walk(), also: frozenset[str] = frozenset()
) -> Found:
    """List the photographs below `root`, or `root` itself if it is one.

    Args:
        root: a folder or a single photograph.
        exclude: a folder not to look into (the output, so that masks are never taken for photographs).
        walk: which of the files are wanted; of no effect on a single photograph.
        also: suffixes of more files than photographs, in small letters.

    Raises:
        NoInputError: there is no such folder, or no photograph in it.
        UsageError: masks would be placed among the photographs, or `root` holds masks itself.
        OutputError: masks would be written through a link to another folder.
    """
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError as error:
        raise NoInputError(
            f"{shown(root)} does not exist.", "Give a folder of photographs, or one photograph."
        ) from error
    except OSError as error:
        raise NoInputError(f"{shown(root)} cannot be read: {error.strerror or error}.") from error
    if is_folder and (root / STATE).is_dir():
        raise UsageError(f"{shown(root)} holds the masks of a run, not photographs.", "Give the folder of photographs.")
    found = Found(root if is_folder else root.parent)
    skipped = None if exclude is None else os.path.realpath(exclude)
    if skipped == os.path.realpath(found.root):
        raise UsageError(
            f"The output folder is the folder of photographs, {shown(found.root)}.", f"Choose another {setting('out')}."
        )
    if is_folder:
        masks, paths = mask_like(_Walker(str(root), skipped, walk, found, also).files(), root)
        for path in masks:
            found.passed[Reason.MASK].add(path)
    else:
        paths = [root.name]
    if not paths:
        raise _nothing(root, found)
    found.photos = with_masks(paths)
    if exclude is not None:
        _refuse_masks_among_photographs(found, Path(os.path.realpath(exclude)))
        for folder in {STATE, *(photo.mask.rpartition("/")[0] for photo in found.photos)}:
            require_no_links(exclude, exclude / folder)
    return found


def _nothing(root: Path, found: Found) -> NoInputError:
    passed = [f"{those.count} {reason}" for reason, those in found.passed.items() if those.count]
    unread = [f"{shown(folder)} cannot be read: {reason}" for folder, reason in found.unreadable]
    return NoInputError(
        f"There is no photograph in {shown(root)} or below it ({'; '.join([*passed, *unread]) or 'no file at all'}).",
        "Photographs are found by their names: " + " ".join(sorted(DECODED)) + ".",
    )


def _refuse_masks_among_photographs(found: Found, out: Path) -> None:
    """Refuse an output folder around the photographs' own in which a mirrored path leads back into the latter."""
    root = Path(os.path.realpath(found.root))
    if root.is_relative_to(out):
        inside = _folded(root.relative_to(out).as_posix()) + "/"
        for photo in found.photos:
            if _folded(photo.mask).startswith(inside):
                raise UsageError(
                    f"The mask of {shown(photo.path)} would be {shown(out / photo.mask)}, among the photographs.",
                    f"Choose another {setting('out')}.",
                )


class _Walker:
    """One way through a tree; what is passed over is counted in `found`."""

    def __init__(self, root: str, skipped: str | None, walk: Walk, found: Found, also: frozenset[str]) -> None:
        self._root, self._skipped, self._walk, self._found = root, skipped, walk, found
        self._offered = _OFFERED | also
        self._entered: set[tuple[int, int]] = set()  # device and inode of folders, where links are followed

    def files(self) -> Iterator[str]:
        """Yield the paths of the wanted pictures, relative to the root, in no order."""
        # Links come last, so that a folder which is in the tree itself has its own path.
        folders, links = [""], list[str]()
        while folders or links:
            folder = folders.pop() if folders else links.pop(0)
            try:
                if self._enters(folder):
                    with os.scandir(self._full(folder)) as entries:
                        linked = []
                        for entry in entries:
                            path = f"{folder}/{entry.name}" if folder else entry.name
                            if self._is_passed_over(path, entry):
                                continue
                            if entry.is_dir(follow_symlinks=False):
                                folders.append(path)
                            elif entry.is_symlink() and _leads_to_folder(entry):
                                linked.append(path)
                            else:
                                yield path
                    links += sorted(linked)
            except OSError as error:
                self._found.unreadable.append((folder or ".", error.strerror or str(error)))

    def _full(self, folder: str) -> str:
        return os.path.join(self._root, folder) if folder else self._root  # noqa: PTH118  (a Path costs more than it)

    def _enters(self, folder: str) -> bool:
        """Return whether a folder is to be looked into."""
        full = self._full(folder)
        if self._skipped is not None and os.path.realpath(full) == self._skipped:
            return False
        if folder and Path(full, STATE).is_dir():
            self._found.passed[Reason.OUTPUT].add(folder)
            return False
        if self._walk.follow_links:
            about = os.stat(full)  # noqa: PTH116  (as above)
            if (about.st_dev, about.st_ino) in self._entered:
                self._found.passed[Reason.LINK].add(folder)
                return False
            self._entered.add((about.st_dev, about.st_ino))
        return True

    def _is_passed_over(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Return whether neither a picture nor a folder to look into is there, and count why."""
        reason = self._reason(path, entry)
        if reason is not None:
            self._found.passed[reason].add(path)
        return reason is not None

    def _reason(self, path: str, entry: os.DirEntry[str]) -> Reason | None:
        if entry.name.startswith("."):
            return Reason.HIDDEN
        if self._walk.exclude and matches(path, self._walk.exclude):
            return Reason.PATTERN
        if entry.is_dir(follow_symlinks=False):
            return None
        if entry.is_symlink() and _leads_to_folder(entry):
            return None if self._walk.follow_links else Reason.LINK
        if os.path.splitext(entry.name)[1].lower() not in self._offered:  # noqa: PTH122  (as above)
            return Reason.NAME
        if not entry.is_file(follow_symlinks=False) and not _is_file_or_broken(entry):
            return Reason.NOT_FILE
        if self._walk.include and not matches(path, self._walk.include):
            return Reason.PATTERN
        return None


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a path, or its last part, matches one of the patterns, as `reading.Walk` has them."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path, pattern) or fnmatchcase(name, pattern) for pattern in patterns)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link to itself: listed, and reported when it is opened
        return entry.is_dir()
    return False


def _is_file_or_broken(entry: os.DirEntry[str]) -> bool:
    """Return whether a link leads to a file; a broken link counts, so that opening it reports the error."""
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True


def with_masks(paths: list[str]) -> list[Photo]:
    """Give each path a mask of its own: `x/a.jpg` gets `x/a.png`, unless another photograph would get that too.

    Names are compared as a case-insensitive, normalising file system does, so that a tree can be copied anywhere.
    """
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        wanted[_folded(_plain_mask(path))].append(path)
    masks: dict[str, str] = {}
    # A folder may be called "a.png" too.
    folders = {_folded(folder) for folder in {path.rpartition("/")[0] for path in paths}}
    folders |= {parent.as_posix() for folder in folders for parent in Path(folder).parents}
    taken: set[str] = folders | {key for key, those in wanted.items() if len(those) == 1}
    for key, those in wanted.items():
        if len(those) == 1 and key not in folders:
            masks[those[0]] = _plain_mask(those[0])
            continue
        for path in those:
            for mask in (f"{path}.png", f"{path}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}.png"):
                if _folded(mask) not in taken and len(os.fsencode(Path(mask).name)) <= 255:
                    break
            else:
                folder, slash, _ = path.rpartition("/")
                mask = f"{folder}{slash}{hashlib.sha256(os.fsencode(path)).hexdigest()}.png"
            taken.add(_folded(mask))
            masks[path] = mask
    return [Photo(path, masks[path]) for path in paths]


def _plain_mask(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{Path(name).stem}.png"


def _folded(mask: str) -> str:
    return unicodedata.normalize("NFC", mask).casefold()
