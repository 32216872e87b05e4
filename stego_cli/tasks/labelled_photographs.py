"""What labelled photographs show of a model's clusters: pixels by class and cluster, and codes of labelled cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stego_cli.errors import NoInputError, PhotoError
from stego_cli.gallery.centroids import Codes
from stego_cli.gallery.fitting import LabelledCells
from stego_cli.images.decode import decode
from stego_cli.images.ids import Ids, resize_ids
from stego_cli.images.label_files import ColourClasses
from stego_cli.inference.predict import Recipe, predict
from stego_cli.inference.session import Session
from stego_cli.progress import Progress
from stego_cli.scoring.confusion import Counts, Grid, changes_across, count
from stego_cli.scoring.mask_pairs import MaskPair
from stego_cli.scoring.tally import read_side, same_aspect
from stego_cli.stop import Stop
from stego_cli.text import shown

_MOST_CODED = 100  # photographs whose codes are taken, evenly; they have more cells than are used


@dataclass(frozen=True)
class LabelledPhotographs:
    """Photographs, `pairs` of whose files are found below two folders, and the class of each colour of labels."""

    photos: Path
    labels: Path
    pairs: Sequence[MaskPair]
    colours: ColourClasses | None


@dataclass
class Seen:
    """What photographs show.

    Attributes:
        counts: labelled pixels by class and cluster.
        cells: labelled ones, with their codes.
        used: number of photographs.
        failed: photographs or labels that could not be used: path and reason.
    """

    counts: Counts
    cells: LabelledCells = field(default_factory=LabelledCells)
    used: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def compare(
    labelled: LabelledPhotographs, session: Session, codes: Codes | None, grid: Grid, progress: Progress, stop: Stop
) -> Seen:
    """Compare labels with the clusters that a model finds.

    Args:
        labelled: the photographs.
        session: of the model, whose classes are the clusters.
        codes: makes the codes of cells; None: they are not wanted.
        grid: which label value is which class.
        progress: shows a stage, and warnings about what cannot be used.
        stop: asked between two photographs.

    Raises:
        NoInputError: no pixel has a class.
        Stopped: a signal came.
    """
    recipe, seen = Recipe(session.info.res, "cluster", None), Seen(grid.empty())
    coded = set(np.linspace(0, len(labelled.pairs) - 1, _MOST_CODED).round().astype(int).tolist())
    with progress.stage("Comparing", len(labelled.pairs), unit="photographs") as stage:
        for index, pair in enumerate(labelled.pairs):
            stop.check()
            try:
                ids = read_side(str(labelled.labels), pair.label, "label", labelled.colours)
                decoded = decode(labelled.photos / pair.pred, recipe.res, session.info.patch)
                found = predict(session, decoded, recipe).labels
                ids = _fitting(grid, ids, found)
                seen.counts += count(ids, found, grid, changes_across(ids) | changes_across(found))
                if codes is not None and index in coded:
                    seen.cells.add(codes.cells(decoded.pixels[None]), ids, grid)
                seen.used += 1
            except PhotoError as error:
                seen.failed.append((pair.pred, error.message))
                progress.warn(f"{shown(pair.pred)}: {error.message}")
            stage.advance()
    if not seen.counts[:-1].any():
        raise NoInputError(
            f"No pixel of the {seen.used} labels in {shown(labelled.labels)} has a class"
            + (f"; {seen.failed[0][0]}: {seen.failed[0][1]}." if seen.failed else "."),
            "Label values are class numbers; 255 is void.",
        )
    return seen


def _fitting(grid: Grid, given: Ids, found: NDArray[np.uint8]) -> Ids:
    """Return label values after the remapping, of the shape of the clusters that were found."""
    if not same_aspect(given.shape, found.shape):
        sizes = [f"{width} x {height}" for height, width in (found.shape, given.shape)]
        raise PhotoError(f"the photograph is {sizes[0]} pixels, the label {sizes[1]}, another shape")
    return grid.remapped(resize_ids(given, *found.shape) if given.shape != found.shape else given)
