"""A model on a labelled data set: every probe, with and without CRF, in one pass over the photographs.

Deterministic: one photograph at a time goes through the model, counts are integers, and sums do not depend on their
order. Workers refine and count; only counts come back.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.classes import VOID, ClassTable
from stego_cli.datasets.layout import split_folders
from stego_cli.errors import NoInputError, PhotoError, StegoError, UsageError
from stego_cli.images.discover import find_photos
from stego_cli.images.streams import map_ahead
from stego_cli.inference.session import Session
from stego_cli.machine import cores
from stego_cli.processes import process_pool
from stego_cli.progress import Progress
from stego_cli.scoring.confusion import UNKNOWN_CLASSES, Grid, make_grid
from stego_cli.scoring.protocol import PROTOCOLS, Counted, Example, Task, count_task, load_example
from stego_cli.scoring.result import Score, make_score
from stego_cli.scoring.tally import Sums
from stego_cli.settings import CrfSettings, Match, ScoreMode
from stego_cli.stop import Stop
from stego_cli.text import shown

Pair = tuple[Path, Path]  # a photograph and the place of its label


@dataclass(frozen=True)
class EvaluateSettings:
    """Everything that decides an evaluation, given the model."""

    data: Path
    split: str = "val"
    protocol: str = "stego"
    table: ClassTable | None = None  # None: as many classes as the labels use
    crf: CrfSettings | None = field(default_factory=CrfSettings)  # None: without the variants after the CRF
    res: int | None = None  # shorter side in the protocol `full`; None: the model's own
    crf_engine: str = "auto"  # a key of stego_cli.crf.CHOICES
    workers: int | None = None  # photographs refined at once; None: one a core

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"--protocol is {self.protocol!r}; it is {' or '.join(PROTOCOLS)}.")


@dataclass(frozen=True)
class Evaluation:
    """Scores by variant, (probe, whether after the CRF); and path and reason of what could not be used."""

    scores: dict[tuple[str, bool], Score]
    failures: list[tuple[str, str]]


def evaluate(
    session: Session, pairs: list[Pair], settings: EvaluateSettings, progress: Progress, stop: Stop
) -> Evaluation:
    """Evaluate a model on photographs and their labels (`find_pairs`).

    Raises:
        NoInputError: none of them can be used.
        UsageError: the protocol averages codes over a flip, and the model was exported without it.
        Stopped: a signal came.
    """
    if settings.protocol == "stego" and not session.info.flip:
        raise UsageError(
            "The paper's protocol averages the code with that of the mirrored photograph, and this model was exported "
            "without that.",
            "Give the run itself as --model, export it again with --flip, or use --protocol full.",
        )
    table = settings.table
    grid = make_grid(len(table.names) if table else UNKNOWN_CLASSES, table.void if table else VOID, None)
    sums: dict[tuple[str, bool], Sums] = {}
    failures: list[tuple[str, str]] = []
    with progress.stage("Evaluating", len(pairs), unit="photographs") as stage:
        for counted in _counted(session, settings, pairs, grid, failures, stop):
            if counted.problem:
                failures.append((counted.name, counted.problem))
            for variant, counts in counted.counts.items():
                total = sums.setdefault(variant, Sums(grid.empty()))
                total.add(Sums(counts, images=1, void=int(not counts[:-1].any())))
            stage.advance()
    stop.check()
    if not sums:
        raise NoInputError(f"No photograph of {shown(settings.data)} could be evaluated; {failures[0][1]}.")
    scores = {variant: _score(variant[0], total, settings, failures) for variant, total in sorted(sums.items())}
    return Evaluation(scores, failures)


def find_pairs(settings: EvaluateSettings) -> list[Pair]:
    """Return the photographs of DATA/imgs/SPLIT, each with the place of its label in DATA/labels/SPLIT.

    A folder that cannot be read stands in the list too, and fails when it is opened.

    Raises:
        NoInputError: the data set has no such split, or no photograph in it.
    """
    folders = split_folders(settings.data, settings.split)
    for folder in (folders.photos, folders.labels):
        if folder is None or not folder.is_dir():
            raise NoInputError(
                f"{shown(folder or settings.data)} is not a folder.",
                "A data set has imgs/SPLIT and labels/SPLIT (see `stego evaluate --help`).",
            )
    found = find_photos(folders.photos)
    paths = [folders.photos / path for path in (*(photo.path for photo in found.photos), *dict(found.unreadable))]
    return [(path, label) for path in paths if (label := folders.label_of(path)) is not None]


def _counted(
    session: Session,
    settings: EvaluateSettings,
    pairs: list[Pair],
    grid: Grid,
    failures: list[tuple[str, str]],
    stop: Stop,
) -> Iterator[Counted]:
    res = settings.res or session.info.res

    def load(pair: Pair) -> tuple[str, Example | str]:
        try:
            return shown(pair[0]), load_example(*pair, settings.protocol, res, session.info.patch)
        except (PhotoError, OSError) as error:
            return shown(pair[0]), error.message if isinstance(error, PhotoError) else str(error)

    def tasks() -> Iterator[Task]:
        for name, example in map_ahead(loaders, load, pairs, 2 * cores(), stopped):
            if isinstance(example, str):
                failures.append((name, example))
                continue
            try:
                outputs = session.run(example.pixels[None])
            except Exception as error:  # ONNX Runtime's errors share no base class but this
                failures.append((name, f"the model could not run on it: {(str(error) or repr(error)).splitlines()[0]}"))
                continue
            log_probs = {
                output.removesuffix("_log_probs"): values[0]
                for output, values in zip(session.outputs, outputs, strict=True)
            }
            yield Task(name, example, log_probs, grid, settings.crf, settings.crf_engine)

    def stopped() -> bool:
        return stop.requested is not None

    workers = settings.workers or cores()
    with ThreadPoolExecutor(cores()) as loaders, process_pool(workers) as pool:
        try:
            yield from map_ahead(pool, count_task, tasks(), 2 * workers, stopped)
        except BrokenProcessPool as error:
            raise StegoError("A refining process died (out of memory?).", "Give --workers 1, or --no-crf.") from error


def _score(probe: str, sums: Sums, settings: EvaluateSettings, failures: list[tuple[str, str]]) -> Score:
    sums.failures = failures
    # Clusters are matched to classes; what the linear probe says needs no matching, since labels trained it.
    match: Match = "hungarian" if probe == "cluster" else "identity"
    mode: ScoreMode = "stego" if settings.protocol == "stego" else "honest"
    return make_score(sums, settings.table, match, mode)
