"""Which photographs there are below a folder, and which mask each of them gets.

Policy: hidden files and folders are passed over; a link to a file is followed, a link to a folder is not (so no loop,
and nothing from outside the tree unless its owner linked that very file). A folder of masks, this run's or another's,
is never looked into, and no mask is ever placed among the photographs.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.errors import NoInputError, UsageError
from stego_cli.images.readers.table import RAW_SUFFIXES, SUFFIXES

DECODED = SUFFIXES
UNDECODED = RAW_SUFFIXES

STATE = ".stego"  # the folder in an output folder by which it is known as one


@dataclass(frozen=True)
class Photo:
    """A photograph and the place of its mask, both relative: to the input folder and to the output folder."""

    path: str
    mask: str


@dataclass
class Found:
    """What a folder holds.

    Attributes:
        root: the input folder.
        photos: in the order of their paths.
        unreadable: folders that could not be listed, with the reason.
        outputs: folders passed over because they hold the masks of another run.
        others: number of files passed over because their names are not those of photographs.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    others: int = 0


def find_photos(root: Path, exclude: Path | None = None) -> Found:
    """List the photographs below `root`, or `root` itself if it is one.

    Args:
        root: a folder or a single photograph.
        exclude: a folder not to look into (the output, so that masks are never taken for photographs).

    Raises:
        NoInputError: there is no such folder, or no photograph in it.
        UsageError: masks would be placed among the photographs, or `root` holds masks itself.
    """
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError as error:
        raise NoInputError(f"{root} does not exist.", "Give a folder of photographs, or one photograph.") from error
    except OSError as error:
        raise NoInputError(f"{root} cannot be read: {error.strerror or error}.") from error
    if is_folder and (root / STATE).is_dir():
        raise UsageError(f"{root} holds the masks of a run, not photographs.", "Give the folder of photographs.")
    found = Found(root if is_folder else root.parent)
    skipped = None if exclude is None else os.path.realpath(exclude)
    if skipped == os.path.realpath(found.root):
        raise UsageError(f"The output folder is the folder of photographs, {found.root}.", "Give --out another folder.")
    paths = sorted(_walk(str(root), skipped, found)) if is_folder else [root.name]
    if not paths:
        unread = "".join(f"; {folder} cannot be read: {reason}" for folder, reason in found.unreadable)
        raise NoInputError(
            f"There is no photograph in {root} or below it ({found.others} other files{unread}).",
            "Photographs are found by their names: " + " ".join(sorted(DECODED)) + ".",
        )
    found.photos = with_masks(paths)
    if skipped is not None:
        _refuse_masks_among_photographs(found, Path(skipped))
    return found


def _refuse_masks_among_photographs(found: Found, out: Path) -> None:
    """Refuse an output folder around the photographs' own in which a mirrored path leads back into the latter."""
    root = Path(os.path.realpath(found.root))
    if root.is_relative_to(out):
        inside = _folded(root.relative_to(out).as_posix()) + "/"
        for photo in found.photos:
            if _folded(photo.mask).startswith(inside):
                raise UsageError(
                    f"The mask of {photo.path} would be {out / photo.mask}, among the photographs.",
                    "Give --out another folder.",
                )


def _walk(root: str, skipped: str | None, found: Found) -> Iterator[str]:
    stack = [""]
    while stack:
        folder = stack.pop()
        full = os.path.join(root, folder) if folder else root  # noqa: PTH118  (a Path a file costs more than the walk)
        if skipped is not None and os.path.realpath(full) == skipped:
            continue
        try:
            if folder and Path(full, STATE).is_dir():
                found.outputs.append(folder)
                continue
            with os.scandir(full) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(path)
                    elif Path(entry.name).suffix.lower() in DECODED | UNDECODED and not _leads_to_folder(entry):
                        yield path
                    else:
                        found.others += 1
        except OSError as error:
            found.unreadable.append((folder or ".", error.strerror or str(error)))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link to itself: listed, and reported when it is opened
        return entry.is_dir()
    return False


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
