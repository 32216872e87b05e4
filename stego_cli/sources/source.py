"""What a file that is segmented in parts offers, whatever its kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.images.decode import Decoded
from stego_cli.palette import Colour
from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading

EMPTY = "no pixel of it has a value"  # the reason for which a part is left out rather than failed


@dataclass(frozen=True)
class Asked:
    """How a file is to be opened.

    Attributes:
        file: its path; `name`: the same as the user sees it.
        res: side at which the model works, pixels; `patch`: of the model, pixels.
        reading: how its numbers become RGB of 8 bits.
        parts: which of it is wanted.
    """

    file: Path
    name: str
    res: int
    patch: int
    reading: Reading
    parts: PartSettings


@dataclass(frozen=True)
class PartMask:
    """The labels of a part.

    Attributes:
        labels: uint8 (H, W), 255 where there is none.
        surety: uint8 (H, W), the probability of each label in steps, as `images.masks.encode_part` has them.
        second: uint8 (H, W), the next probable label; `second_surety`: its probability. None: they are not known.
    """

    labels: NDArray[np.uint8]
    surety: NDArray[np.uint8]
    second: NDArray[np.uint8] | None = None
    second_surety: NDArray[np.uint8] | None = None


ReadPart = Callable[[str], PartMask | None]  # from a part's key to its labels; None: it has none


@dataclass(frozen=True)
class Target:
    """Where the mask of the whole file goes.

    Attributes:
        mask: its place; what is there is replaced.
        scratch: folder on the same file system for what is not whole yet.
        colours: of the classes, RGB; `names`: likewise, empty for values of no class.
        overlay: whether an overlay was asked for, which videos get.
    """

    mask: Path
    scratch: Path
    colours: list[Colour]
    names: tuple[str, ...] = ()
    overlay: bool = False


class Source(Protocol):
    """An open file; a context manager. Its methods may be called in several threads, but for `begin`.

    Attributes:
        unit: what its parts are called, in the plural.
        notes: sentences for the user about how it is worked on.
        troubles: sentences about parts that the file should have and does not.
    """

    unit: str
    notes: Sequence[str]
    troubles: Sequence[str]

    def keys(self) -> Sequence[str]:
        """Return the identity of each part, such as "window=0,0,672,672", in order."""

    def begin(self, keys: Iterable[str]) -> Iterator[str]:
        """Yield some of the keys, in order, each when the part can be decoded."""

    def decode(self, key: str) -> Decoded:
        """Return a part at work size.

        Raises:
            PhotoError: it cannot be decoded; with EMPTY: there is nothing in it.
        """

    def samples(self, count: int) -> Iterator[Image.Image]:
        """Yield about that many parts, RGB, spread evenly, to find classes in, without those that cannot be read."""

    def assemble(self, read: ReadPart, target: Target) -> Counter[int]:
        """Write the mask of the whole file, whole or not at all, and return the number of pixels of each value.

        The same parts give the same bytes.

        Raises:
            OutputError: it cannot be written.
        """

    def __enter__(self) -> Source: ...

    def __exit__(self, *error: object) -> None: ...
