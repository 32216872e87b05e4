"""A folder of masks that `stego segment` wrote, as it stands: its photographs, and what the values mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.checked_json import parse_file
from stego_cli.class_edits import ClassEdit, ClassEdits
from stego_cli.errors import NoInputError, PhotoError, UsageError
from stego_cli.images.discover import STATE
from stego_cli.images.ids import read_ids
from stego_cli.images.journal import Entry, read_entries
from stego_cli.inference.mask_classes import classes_of_masks, require_settled
from stego_cli.inference.output_folder import journals
from stego_cli.palette import palette
from stego_cli.text import shown

_LARGEST_CLASS = 255


@dataclass(frozen=True)
class MaskTree:
    """Masks and the photographs they belong to.

    Attributes:
        root: MASKS.
        photos: the folder of photographs; None: it is not known, or gone.
        entries: of the photographs that have a mask, in the order of their paths.
        edits: what the values in the masks mean.
    """

    root: Path
    photos: Path | None
    entries: Sequence[Entry]
    edits: ClassEdits

    def labels(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the values of a mask, uint8 (H, W).

        Raises:
            PhotoError: it is missing, broken, or of more than 8 bits.
        """
        return read_labels(self.root / (entry.mask or ""))

    @property
    def pixels(self) -> Counter[int]:
        """Number of pixels of each value."""
        total: Counter[int] = Counter()
        for entry in self.entries:
            total.update(entry.pixels or {})
        return total


def read_labels(mask: Path) -> NDArray[np.uint8]:
    """Return the values of a mask, uint8 (H, W).

    Raises:
        PhotoError: it is missing, broken, or of more than 8 bits.
    """
    if not _is_picture(mask):
        raise PhotoError("the mask of a raster, a stack or a video, which only some formats of `stego convert` take")
    ids = read_ids(mask)
    if ids.dtype != np.uint8:
        raise PhotoError("a mask of more than 8 bits")
    return np.ascontiguousarray(ids)


def open_masks(root: Path, photos: Path | None = None) -> MaskTree:
    """Read what is known of the masks in a folder.

    Args:
        root: MASKS.
        photos: the folder of photographs; None: the one that the masks were made from, if it is still there.

    Raises:
        UsageError: it is not a folder of masks of this tool, or a change of its classes was stopped in the middle.
        NoInputError: there is no such folder, or no mask in it.
    """
    require_masks(root)
    require_settled(root)
    entries = done_entries(root)
    if not entries:
        raise NoInputError(f"There is no finished mask in {shown(root)}.", "Make some with `stego segment`.")
    edits = classes_of_masks(root) or _as_found(root, entries)
    return MaskTree(root, _photos_of(root, photos), entries, edits)


def _is_picture(mask: Path) -> bool:
    return mask.suffix == ".png"


def pictures_alone(tree: MaskTree) -> tuple[MaskTree, int]:
    """Return masks without those of rasters, stacks and videos, and the number of these.

    Raises:
        UsageError: none is left.
    """
    left = [entry for entry in tree.entries if _is_picture(Path(entry.mask or ""))]
    if not left:
        raise UsageError(
            f"{shown(tree.root)} holds masks of rasters, stacks or videos alone, and a gallery shows photographs.",
            "Look at the masks with a GIS or a viewer; name and join classes with `stego classes ... --to MODEL`, and "
            "segment again with that model.",
        )
    return replace(tree, entries=left), len(tree.entries) - len(left)


def require_pictures(root: Path, entries: Sequence[Entry]) -> None:
    """Refuse to change the pixels of masks where some are of rasters, stacks or videos, which stay as they are.

    Raises:
        UsageError: some are.
    """
    others = [entry for entry in entries if not _is_picture(Path(entry.mask or ""))]
    if others:
        raise UsageError(
            f"{shown(root)} holds masks of rasters, stacks or videos ({shown(others[0].path)}), whose pixels and "
            "colours are not changed.",
            "Change the classes in the model (`stego classes ... --to MODEL`), and segment again with it.",
        )


def require_masks(root: Path) -> None:
    """Refuse a folder that holds no masks of this tool.

    Raises:
        UsageError: it does not.
        NoInputError: there is no such folder.
    """
    if not root.is_dir():
        raise NoInputError(f"There is no folder {shown(root)}.")
    if not (root / STATE).is_dir():
        raise UsageError(f"{shown(root)} holds no masks of `stego segment`.", "Give the folder that it wrote to.")


def done_entries(root: Path) -> list[Entry]:
    """Return the journal's entries of photographs that have a mask, in the order of their paths."""
    entries = read_entries(journals(root))
    return [entry for _, entry in sorted(entries.items()) if entry.status == "done" and entry.mask]


def _as_found(root: Path, entries: Sequence[Entry]) -> ClassEdits:
    """Return classes as the palette of a mask lists them, and none of them named."""
    colours = _palette(root, entries)
    largest = max((value for entry in entries for value in entry.pixels or {}), default=0)
    found = max(len(colours), largest + 1)
    usual = palette(found)
    own = {
        number: ClassEdit(colour=colour) for number, colour in enumerate(colours) if found and colour != usual[number]
    }
    return ClassEdits(found, own)


def _palette(root: Path, entries: Sequence[Entry]) -> list[tuple[int, int, int]]:
    for entry in entries:
        try:
            with Image.open(root / (entry.mask or ""), formats=("PNG",)) as image:
                flat = image.getpalette() if image.mode == "P" else None
        except OSError:
            continue
        if flat:
            return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)]
    return []


@dataclass(frozen=True)
class _Run:
    """What is read of run.json: the folder of photographs."""

    photos: str


def photos_of_run(root: Path) -> Path | None:
    """Return the folder of photographs that masks were made from, if it is known and still there."""
    try:
        folder = Path(parse_file(root / STATE / "run.json", _Run).photos)
    except (OSError, ValueError):
        return None
    if folder.is_file():
        folder = folder.parent
    return folder if folder.is_dir() else None


def _photos_of(root: Path, given: Path | None) -> Path | None:
    if given is None:
        return photos_of_run(root)
    if not given.exists():
        raise NoInputError(f"There is no folder {shown(given)}.", "Give the folder of photographs.")
    return given.parent if given.is_file() else given
