"""What a data set's module says of it: which photographs and labels there are, and how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import VOID, ClassTable
from stego_cli.errors import PhotoError, UsageError
from stego_cli.images.decode import decode_whole
from stego_cli.images.ids import ids_of
from stego_cli.images.readers.table import open_picture as open_picture
from stego_cli.palette import Colour

Labels = NDArray[np.uint8]  # (H, W), classes, 255 for void
UNLABELLED = "unlabelled"  # name of the split of photographs that belong to no official one
CROPS = ("five", "random")
SIDES = "lists/sides.json"  # in a data set that was split by content: hash to split
LISTS, LABELS = "--lists", "--labels"  # folders below which the files of these options appear beside the source's


@dataclass(frozen=True)
class PrepareSettings:
    """Everything that decides a prepared data set, given its sources."""

    name: str
    sources: tuple[Path, ...]
    out: Path
    lists: Path | None = None  # folder with lists of names that the source does not hold
    labels: Path | None = None  # `folder`: where labels are, if not beside the photographs
    table: ClassTable | None = None  # `folder`: the classes; None: as many as the labels use
    palette: Path | None = None  # `folder`: file of colours and names, for labels that are colour pictures
    val: float = 0.2  # `folder`: share of the photographs in the split `val`
    limit: int | None = None  # so many photographs of each split
    fraction: float | None = None  # such a share of each split
    seed: int = 0
    crops: str | None = None  # "five" or "random": five crops of each training photograph
    ratio: float = 0.5  # a crop's sides to the photograph's
    resize: int | None = None  # shorter side, pixels; smaller photographs stay as they are
    link: bool = False
    unlabelled: bool = False  # also photographs that are in no official split
    overwrite: bool = False

    def mounts(self) -> list[tuple[str, Path]]:
        """Return all that is read, each with the folder below which its files appear."""
        more = [(LISTS, self.lists), (LABELS, self.labels)]
        return [("", source) for source in self.sources] + [(below, path) for below, path in more if path is not None]

    def __post_init__(self) -> None:
        if self.crops not in (None, *CROPS):
            raise UsageError(f"--crops is {self.crops!r}; it is five or random.")
        if not 0 < self.ratio <= 1:
            raise UsageError(f"--ratio is {self.ratio}; it is above 0 and at most 1.")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise UsageError(f"--fraction is {self.fraction}; it is above 0 and at most 1.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit is {self.limit}; it must be at least 1.")
        if not 0 <= self.val <= 1:
            raise UsageError(f"--val is {self.val}; it is a share, 0 to 1.")
        if self.resize is not None and self.resize < 1:
            raise UsageError(f"--resize is {self.resize}; it must be at least 1.")
        if self.link and (self.crops or self.resize):
            raise UsageError(
                "--link keeps photographs as they are; --crops and --resize change them.", "Leave one out."
            )
        if self.name != "folder":
            for option, value in ((LABELS, self.labels), ("--classes", self.table), ("--palette", self.palette)):
                if value is not None:
                    raise UsageError(f"{option} is for `stego prepare folder`; {self.name} has its own.")


@dataclass(frozen=True, slots=True)
class Example:
    """A photograph: its split, its name in the data set ("x/a", unique in the split), and its files in the source."""

    split: str
    name: str
    photo: str
    labels: tuple[str, ...] = ()  # nearly always one; none without a label


Piece = tuple[str, Image.Image, Labels | None]  # suffix of the name, RGB, labels of the same size


@dataclass
class Plan:
    """A data set as its module found it in the source.

    Attributes:
        examples: all of it.
        table: its classes; None if only the labels can tell.
        read_label: from the files' contents to classes, uint8 (H, W); raises PhotoError.
        as_is: `read_label` changes nothing, so that a label file with the right palette is taken as it is.
        read_photo: from a file's content to RGB, where that is no picture that everybody can open; None: it is.
        cut: into pieces that replace the whole, each with a suffix of its name.
        colours: of the masks, where `table` is None.
        notes: what the user should know of what was found.
        sides: split of each photograph by the hash of its content, to be kept for the next time.
        strict: a broken file means that the source is broken, and ends it; else it is left out and listed.
    """

    examples: list[Example]
    table: ClassTable | None
    read_label: Callable[[tuple[str, ...], list[bytes]], Labels]
    as_is: bool = False
    read_photo: Callable[[bytes], Image.Image] | None = None
    cut: Callable[[Image.Image, Labels | None], Iterable[Piece]] | None = None
    colours: list[Colour] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sides: dict[str, str] = field(default_factory=dict)
    strict: bool = True


def rgb_of(content: bytes) -> Image.Image:
    """Decode a photograph in memory, RGB, as a viewer shows it.

    Raises:
        PhotoError: it cannot be decoded whole.
    """
    return decode_whole(content)


def ids_in(content: bytes, mapping: NDArray[np.uint8] | None = None) -> Labels:
    """Decode a label: the numbers in a picture, brought to classes by `mapping` (256 entries), if there is one.

    Raises:
        PhotoError: it cannot be decoded, or holds a number above 255.
    """
    ids = ids_of(open_picture(content))
    if ids.dtype != np.uint8:
        if int(ids.max(initial=0)) > VOID:
            raise PhotoError(f"it has class {int(ids.max())}; classes are 0 to 254")
        ids = ids.astype(np.uint8)
    return ids if mapping is None else mapping[ids]


def mapping_of(classes: dict[int, int]) -> NDArray[np.uint8]:
    """Return label value to class for all 256 values; those that are not listed are void."""
    mapping = np.full(256, VOID, dtype=np.uint8)
    for value, index in classes.items():
        mapping[value] = index
    return mapping


def rank(seed: int, name: str) -> bytes:
    """Return by what a name is drawn: fixed by it and the seed, whatever other names there are."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()


Named = TypeVar("Named", bound=Example)


def chosen(examples: list[Named], settings: PrepareSettings) -> list[Named]:
    """Return the part of each split that --limit and --fraction ask for; a smaller part lies within a larger one."""
    by_split: dict[str, list[Named]] = {}
    for example in examples:
        by_split.setdefault(example.split, []).append(example)
    kept = []
    for those in by_split.values():
        count = len(those) if settings.fraction is None else max(1, round(settings.fraction * len(those)))
        count = min(count, settings.limit or count)
        if count < len(those):
            drawn = {each.name for each in sorted(those, key=lambda each: rank(settings.seed, each.name))[:count]}
            those = [each for each in those if each.name in drawn]
        kept += those
    return kept
