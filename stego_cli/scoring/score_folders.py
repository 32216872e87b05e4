"""Score a folder of masks against a folder of labels.

Pairs are listed as they are needed and counted in chunks by worker processes. Only sums are kept, so memory does not
grow with the set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice

from stego_cli.errors import StegoError, setting
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.processes import process_pool
from stego_cli.progress import Progress
from stego_cli.scoring.comparison import Comparison
from stego_cli.scoring.extremes import CountsByPair
from stego_cli.scoring.mask_pairs import MaskPair, count_pairs, walk_pairs
from stego_cli.scoring.result import Score, make_score
from stego_cli.scoring.tally import Sums, begin, keep_memory, tally, tally_here
from stego_cli.stop import Stop

_CHUNK = 32  # pairs; a tenth of a second of work, so that the bar moves and no worker is idle for long at the end
_FEW = 4 * _CHUNK  # this many pairs are counted before a second process has even started
_AHEAD = 4  # chunks for each worker that wait or are being counted


def score_folders(comparison: Comparison, workers: int | None, progress: Progress, stop: Stop) -> Score:
    """Count all pairs, match clusters to classes, and compute the metrics.

    Args:
        comparison: the folders and how they are compared.
        workers: processes; None: one a core.
        progress: shown a bar of pairs.
        stop: asked between chunks.

    Raises:
        NoInputError: a folder is missing, or no mask has a label.
        OutputError: the disk for temporary files is full.
        Stopped: a signal came.
        StegoError: a worker process died.
    """
    whole = count_pairs(comparison.pred, comparison.gt)
    chunks = _chunks(walk_pairs(comparison.pred, comparison.gt))
    totals = Sums(comparison.grid.empty())
    with (
        progress.stage("Scoring", whole, "pairs") as stage,
        CountsByPair() if comparison.extremes else nullcontext() as by_pair,
    ):
        for sums in _tallied(chunks, comparison, 1 if whole <= _FEW else workers or cores(), stop):
            totals.add(sums)
            if by_pair is not None:
                by_pair.keep(sums)
            stage.advance(sums.images)
        stop.check()
        result = make_score(totals, comparison.table, comparison.match, comparison.mode)
        if by_pair is None:
            return result
        best, worst = by_pair.extremes(comparison.extremes, comparison.grid, result)
        return replace(result, best=best, worst=worst)


def _tallied(chunks: Iterable[list[MaskPair]], comparison: Comparison, workers: int, stop: Stop) -> Iterator[Sums]:
    if workers == 1:
        keep_memory()
        for chunk in chunks:
            stop.check()
            yield tally(chunk, comparison)
        return
    # The comparison goes once to each process, the names go in chunks.
    with process_pool(workers, begin, (comparison,)) as pool:
        try:
            yield from map_ahead(pool, tally_here, chunks, _AHEAD * workers, lambda: stop.requested is not None)
        except BrokenProcessPool as error:
            raise StegoError(
                "A counting process died (out of memory?).", f"Give {setting('workers', 1)}, or fewer workers."
            ) from error


def _chunks(pairs: Iterator[MaskPair]) -> Iterator[list[MaskPair]]:
    while chunk := list(islice(pairs, _CHUNK)):
        yield chunk
