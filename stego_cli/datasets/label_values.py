"""Which values or colours the labels of a folder have, and which class each of them is.

All labels are looked at before the first is written: only all of them together tell whether 255 is void, which numbers
are classes, and whether colours are numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.classes import VOID
from stego_cli.datasets.source import Files
from stego_cli.errors import PhotoError, SourceError
from stego_cli.images.ids import COLOUR_PICTURE
from stego_cli.images.label_files import open_label
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.progress import Progress

MOST_COLOURS = 1024  # more are not the colours of classes


@dataclass
class Values:
    """What all labels together have.

    Attributes:
        ids: number of pixels of each value, in labels of numbers.
        colours: number of pixels of each colour, 0xRRGGBB, in labels that are colour pictures.
        numbers, coloured: how many labels there are of either kind; a picture that is grey everywhere has numbers.
        broken: how many could not be read.
    """

    ids: Counter[int] = field(default_factory=Counter)
    colours: Counter[int] = field(default_factory=Counter)
    numbers: int = 0
    coloured: int = 0
    broken: int = 0


def values_of(files: Files, names: Sequence[str], as_colours: bool, progress: Progress) -> Values:
    """Look at all labels.

    Args:
        files: the source.
        names: of the labels.
        as_colours: take all pictures by their colours, also those of numbers.
        progress: shown a bar of labels.
    """
    found = Values()
    with ThreadPoolExecutor(cores()) as pool, progress.stage("Looking at the labels", len(names), "labels") as stage:
        for one in map_ahead(pool, lambda name: _values_in(files, name, as_colours), names, 4 * cores()):
            found.ids.update(one.ids)
            found.colours.update(one.colours)
            found.numbers += one.numbers
            found.coloured += one.coloured
            found.broken += one.broken
            stage.advance()
    return found


def _values_in(files: Files, name: str, as_colours: bool) -> Values:
    try:
        label = open_label(files.read(name), name)
        if not as_colours:
            try:
                return Values(ids=_counts(label.ids()), numbers=1)
            except PhotoError as error:
                if not error.message.startswith(COLOUR_PICTURE):
                    raise
        return Values(colours=_counts(label.colours(), MOST_COLOURS), coloured=1)
    except (PhotoError, SourceError):
        return Values(broken=1)


def _counts(values: NDArray[Any], most: int | None = None) -> Counter[int]:
    if values.dtype == np.uint8:
        histogram = Image.fromarray(values).histogram()  # without a copy, unlike NumPy's
        return Counter({value: count for value, count in enumerate(histogram) if count})
    found, numbers = np.unique(values, return_counts=True)
    if most is not None and len(found) > most:  # a photograph, or smooth edges; the most frequent ones are enough
        order = np.argsort(numbers)[::-1][: most + 1]
        found, numbers = found[order], numbers[order]
    return Counter(dict(zip(found.tolist(), numbers.tolist(), strict=True)))


def void_values(values: Iterable[int], given: Sequence[int] | None) -> frozenset[int]:
    """Return the values without a class.

    255 is one of them, unless the user says otherwise or there is only one other value with a class: then 255 is the
    second class of binary labels.

    Args:
        values: that occur.
        given: those of the user; None: none were given, () says that there are none.
    """
    if given is not None and (not given or VOID in given):
        return frozenset(given)
    void = frozenset(given or ())
    others = set(values) - void - {VOID}
    binary = len(others) == 1 or (not others and bool(given))
    return void if binary else void | {VOID}
