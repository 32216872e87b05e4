"""A model on a labelled data set: every probe, with and without CRF, in one pass over the photographs.

Deterministic: one photograph at a time goes through the model, counts are integers, and sums do not depend on their
order. Workers refine and count; only counts come back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.layout import split_folders
from stego_cli.errors import NoInputError, PhotoError, StegoError, UsageError, setting
from stego_cli.images.discover import find_photos
from stego_cli.images.streams import map_ahead
from stego_cli.inference.predict import Refiner, infer
from stego_cli.inference.session import Session
from stego_cli.machine import cores
from stego_cli.processes import process_pool
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.scoring.confusion import UNKNOWN_CLASSES, Grid, make_grid
from stego_cli.scoring.protocol import CountTask, EvaluationInput, PhotoCounts, Variant, count_task, load_input
from stego_cli.scoring.result import Score, make_score
from stego_cli.scoring.tally import Sums
from stego_cli.settings import Match, Probe, Protocol, ScoreMode
from stego_cli.stop import Stop
from stego_cli.text import shown

# What the JSON text of an evaluation begins with.
OURS = re.compile(rb'\s*\{\s*"(cluster|linear)(_crf)?":\s*\{\s*"miou":')
PhotoAndLabel = tuple[Path, Path]  # a photograph and the place of its label


@dataclass(frozen=True)
class EvaluationPlan:
    """Everything that decides an evaluation, given the model and the photographs.

    Attributes:
        data: folder of the data set, for messages.
        data_name: of the data set, if it is a known one, else empty.
        protocol: see stego_cli.scoring.protocol.
        table: the classes; None: as many as the labels use.
        refiner: for the variants after the CRF; None: without these.
        res: shorter side in the protocol `full`, pixels.
        workers: photographs refined at once; None: one a core.
        reading: how pictures that are not RGB of 8 bits become that.
    """

    data: Path
    data_name: str
    protocol: Protocol
    table: ClassTable | None
    refiner: Refiner | None
    res: int
    workers: int | None
    reading: Reading = Reading()


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes:
        scores: by variant, (probe, whether after the CRF).
        failures: path and reason of each photograph that could not be used.
        backbone: of the model.
        data_name: of the data set, if it is a known one, else empty.
    """

    scores: dict[Variant, Score]
    failures: list[tuple[str, str]]
    backbone: str
    data_name: str


def evaluate_model(
    session: Session, pairs: list[PhotoAndLabel], plan: EvaluationPlan, progress: Progress, stop: Stop
) -> Evaluation:
    """Evaluate a model on photographs and their labels (`find_pairs`).

    Raises:
        NoInputError: none of them can be used.
        UsageError: the protocol averages codes over a flip, and the model was exported without it.
        Stopped: a signal came.
    """
    if plan.protocol == "stego" and not session.info.flip:
        raise UsageError(
            "The paper's protocol averages the code with that of the mirrored photograph, and this model was exported "
            "without that.",
            f"Give the run itself as {setting('model')}, export it again with {setting('flip', True)}, or use "
            f"{setting('protocol', 'full')}.",
        )
    table = plan.table
    grid = make_grid(len(table.names) if table else UNKNOWN_CLASSES, table.void if table else VOID, None)
    sums: dict[Variant, Sums] = {}
    failures: list[tuple[str, str]] = []
    with progress.stage("Evaluating", len(pairs), unit="photographs") as stage:
        for counted in _counted(session, plan, pairs, grid, failures, stop):
            if counted.problem:
                failures.append((counted.name, counted.problem))
            for variant, counts in counted.counts.items():
                total = sums.setdefault(variant, Sums(grid.empty()))
                total.add(Sums(counts, images=1, void=int(not counts[:-1].any())))
            stage.advance()
    stop.check()
    if not sums:
        raise NoInputError(f"No photograph of {shown(plan.data)} could be evaluated; {failures[0][1]}.")
    scores = {variant: _score(variant[0], total, plan, failures) for variant, total in sorted(sums.items())}
    return Evaluation(scores, failures, session.info.backbone, plan.data_name)


def find_pairs(data: Path, split: str) -> list[PhotoAndLabel]:
    """Return the photographs of DATA/imgs/SPLIT, each with the place of its label in DATA/labels/SPLIT.

    A folder that cannot be read stands in the list too, and fails when it is opened.

    Raises:
        NoInputError: the data set has no such split, or no photograph in it.
    """
    folders = split_folders(data, split)
    for folder in (folders.photos, folders.labels):
        if folder is None or not folder.is_dir():
            raise NoInputError(
                f"{shown(folder or data)} is not a folder.",
                "A data set has imgs/SPLIT and labels/SPLIT (see `stego evaluate --help`).",
            )
    found = find_photos(folders.photos)
    paths = [folders.photos / path for path in (*(photo.path for photo in found.photos), *dict(found.unreadable))]
    return [(path, label) for path in paths if (label := folders.label_of(path)) is not None]


def _counted(
    session: Session,
    plan: EvaluationPlan,
    pairs: list[PhotoAndLabel],
    grid: Grid,
    failures: list[tuple[str, str]],
    stop: Stop,
) -> Iterator[PhotoCounts]:
    """Yield the counts of every photograph; those that do not get as far as that are added to `failures`."""

    def load(pair: PhotoAndLabel) -> tuple[str, EvaluationInput | str]:
        try:
            loaded = load_input(*pair, plan.protocol, plan.res, session.info.patch, plan.reading)
            return shown(pair[0]), loaded
        except (PhotoError, OSError) as error:
            return shown(pair[0]), error.message if isinstance(error, PhotoError) else str(error)

    def inferred() -> Iterator[CountTask]:
        for name, given in map_ahead(loaders, load, pairs, 2 * cores(), stopped):
            try:
                if isinstance(given, str):
                    raise PhotoError(given)
                yield CountTask(name, given, infer(session, given.pixels, session.probes), grid, plan.refiner)
            except PhotoError as error:
                failures.append((name, error.message))

    def stopped() -> bool:
        return stop.requested is not None

    workers = plan.workers or cores()
    with ThreadPoolExecutor(cores()) as loaders, process_pool(workers) as pool:
        try:
            yield from map_ahead(pool, count_task, inferred(), 2 * workers, stopped)
        except BrokenProcessPool as error:
            raise StegoError(
                "A refining process died (out of memory?).",
                f"Give {setting('workers', 1)}, or {setting('crf', False)}.",
            ) from error


def _score(probe: Probe, sums: Sums, plan: EvaluationPlan, failures: list[tuple[str, str]]) -> Score:
    sums.failures = failures
    # Clusters are matched to classes; the linear probe needs no matching, since labels trained it.
    match: Match = "hungarian" if probe == "cluster" else "identity"
    mode: ScoreMode = "stego" if plan.protocol == "stego" else "honest"
    return make_score(sums, plan.table, match, mode)
