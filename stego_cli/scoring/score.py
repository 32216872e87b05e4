"""Score a folder of masks against a folder of labels.

Pairs are found as they are needed and counted in chunks by worker processes; the sums are all that stays, so that
memory does not grow with the set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

from stego_cli.errors import StegoError
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.processes import process_pool
from stego_cli.progress import Progress
from stego_cli.scoring.confusion import UNKNOWN_CLASSES, make_grid
from stego_cli.scoring.extremes import Apart
from stego_cli.scoring.mask_pairs import Pair, count_pairs, walk_pairs
from stego_cli.scoring.result import Score, make_score
from stego_cli.scoring.settings import ScoreSettings
from stego_cli.scoring.tally import Plan, Sums, begin, keep_memory, tally, tally_here
from stego_cli.stop import Stop

_CHUNK = 32  # pairs; a tenth of a second of work, so that the bar moves and no worker is idle for long at the end
_FEW = 4 * _CHUNK  # up to so many pairs are counted before a second process has even started
_AHEAD = 4  # chunks for each worker that wait or are under way


def score(settings: ScoreSettings, progress: Progress, stop: Stop) -> Score:
    """Count all pairs, match clusters to classes, and compute the figures.

    Raises:
        NoInputError: a folder is missing, or nothing in the two folders pairs.
        Stopped: a signal came.
        StegoError: a worker process died.
    """
    whole = count_pairs(settings.pred, settings.gt)
    classes = len(settings.table.names) if settings.table else UNKNOWN_CLASSES
    grid = make_grid(classes, settings.ignore, settings.remap)
    plan = Plan(
        str(settings.pred), str(settings.gt), grid, settings.strict, settings.boundary, apart=settings.extremes > 0
    )
    workers = 1 if whole <= _FEW else settings.workers or cores()
    chunks = _chunks(walk_pairs(settings.pred, settings.gt))
    totals = Sums(grid.empty())
    with progress.stage("Scoring", whole, "pairs") as stage, Apart() if plan.apart else nullcontext() as apart:
        for sums in _tallied(chunks, plan, workers, stop):
            totals.add(sums)
            if apart is not None:
                apart.keep(sums)
            stage.advance(sums.images)
        stop.check()
        result = make_score(totals, settings)
        if apart is None:
            return result
        best, worst = apart.extremes(settings.extremes, grid, result)
        return replace(result, best=best, worst=worst)


def _tallied(chunks: Iterable[list[Pair]], plan: Plan, workers: int, stop: Stop) -> Iterator[Sums]:
    if workers == 1:
        keep_memory()
        for chunk in chunks:
            stop.check()
            yield tally(chunk, plan)
        return
    # The plan goes once to each process, the names go in chunks.
    with process_pool(workers, begin, (plan,)) as pool:
        try:
            yield from map_ahead(pool, tally_here, chunks, _AHEAD * workers, lambda: stop.requested is not None)
        except BrokenProcessPool as error:
            raise StegoError(
                "A counting process died (out of memory?).", "Give --workers 1, or fewer workers."
            ) from error


def _chunks(pairs: Iterator[Pair]) -> Iterator[list[Pair]]:
    while chunk := list(islice(pairs, _CHUNK)):
        yield chunk
