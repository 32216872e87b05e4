"""Which photographs there are below a folder, and which mask each of them gets.

Policy: hidden files and folders are passed over; a link to a file is followed, a link to a folder is not (so no loop,
and nothing from outside the tree unless its owner linked that very file).
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.errors import NoInputError, UsageError

# What Pillow decodes everywhere. Names that say "photograph" but need another decoder are listed, then refused by
# name when they are opened, so that they are never silently passed over.
DECODED = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"}
)
UNDECODED = frozenset({".heic", ".heif", ".avif", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf"})


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
        others: number of files passed over because their names are not those of photographs.
    """

    root: Path
    photos: list[Photo] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    others: int = 0


def find_photos(root: Path, exclude: Path | None = None) -> Found:
    """List the photographs below `root`, or `root` itself if it is one.

    Args:
        root: a folder or a single photograph.
        exclude: a folder not to look into (the output, so that masks are never taken for photographs).

    Raises:
        NoInputError: there is no such folder, or no photograph in it.
        UsageError: `exclude` is `root` itself.
    """
    if not root.exists():
        raise NoInputError(f"{root} does not exist.", "Give a folder of photographs, or one photograph.")
    if root.is_file():
        return Found(root.parent, _with_masks([root.name]))
    if exclude is not None and exclude.resolve() == root.resolve():
        raise UsageError(f"The output folder is the folder of photographs, {root}.", "Give --out another folder.")
    found = Found(root)
    skipped = None if exclude is None else str(exclude.resolve())
    paths: list[str] = []
    _walk(str(root), "", skipped, found, paths)
    if not paths:
        raise NoInputError(
            f"There is no photograph in {root} or below it ({found.others} other files).",
            "Photographs are found by their names: " + " ".join(sorted(DECODED)) + ".",
        )
    found.photos = _with_masks(sorted(paths))
    return found


def _walk(root: str, below: str, skipped: str | None, found: Found, paths: list[str]) -> None:
    stack = [below]
    while stack:
        folder = stack.pop()
        full = os.path.join(root, folder) if folder else root  # noqa: PTH118  (a Path a file costs more than the walk)
        if skipped is not None and os.path.realpath(full) == skipped:
            continue
        try:
            with os.scandir(full) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(path)
                    elif Path(entry.name).suffix.lower() in DECODED | UNDECODED and not entry.is_dir():
                        paths.append(path)
                    else:
                        found.others += 1
        except OSError as error:
            found.unreadable.append((folder or ".", error.strerror or str(error)))


def _with_masks(paths: list[str]) -> list[Photo]:
    """Give each path a mask of its own: `x/a.jpg` gets `x/a.png`, unless another photograph would get that too.

    Names are compared as a case-insensitive, normalising file system does, so that a tree can be copied anywhere.
    """
    wanted: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        wanted[_folded(_plain_mask(path))].append(path)
    masks: dict[str, str] = {}
    taken: set[str] = {key for key, those in wanted.items() if len(those) == 1}
    for those in wanted.values():
        if len(those) == 1:
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
