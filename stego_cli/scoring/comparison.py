"""What is compared with what, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stego_cli.classes import ClassTable
from stego_cli.images.label_files import ColourClasses
from stego_cli.scoring.confusion import Grid
from stego_cli.settings import Match, ScoreMode


@dataclass(frozen=True)
class Comparison:
    """Two folders and how they are compared, with nothing left to be chosen.

    Attributes:
        pred, gt: folders of masks and of labels.
        table: the classes; None: as many as the labels use.
        grid: which label value counts as which class.
        colours: the class of each colour, for labels that are colour pictures; None: these fail.
        match: how clusters are matched to classes; `mode`: what becomes of predictions without a class.
        strict: a mask of another size than its label fails instead of being resized.
        boundary: count borders for the boundary F-score.
        extremes: this many best and this many worst photographs are looked up; 0: none.
    """

    pred: Path
    gt: Path
    table: ClassTable | None
    grid: Grid
    match: Match
    mode: ScoreMode
    colours: ColourClasses | None = None
    strict: bool = False
    boundary: bool = True
    extremes: int = 0
