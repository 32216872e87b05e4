"""The best and the worst photographs of a set.

The metrics of one photograph need the matching of the whole set, which is known only at the end. Until then the few
counts of each pair are kept in a temporary file, a line a pair, because memory must not grow with the set.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import astuple

from stego_cli.errors import OutputError
from stego_cli.scoring.confusion import Grid
from stego_cli.scoring.mask_pairs import MaskPair
from stego_cli.scoring.matching import matched_confusion
from stego_cli.scoring.metrics import accuracy, class_iou, mean_iou
from stego_cli.scoring.result import Extreme, Score
from stego_cli.scoring.tally import Sums

_HELD = 1000


class CountsByPair:
    """The counts of each pair, kept on disk until the matching is known; a context manager.

    Args:
        held: photographs that are ranked together in memory.
    """

    def __init__(self, held: int = _HELD) -> None:
        self._held = held
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  (closed by __exit__)

    def keep(self, sums: Sums) -> None:
        """Write the counts of the single pairs in `sums`.

        Raises:
            OutputError: the disk for temporary files is full.
        """
        try:
            for pair, cells, values in sums.by_pair:
                self._file.write(json.dumps([astuple(pair), cells, values]) + "\n")
        except OSError as error:
            raise OutputError(
                f"The temporary file cannot be written: {error.strerror or error}.", "Set TMPDIR to another disk."
            ) from error

    def extremes(self, count: int, grid: Grid, score: Score) -> tuple[list[Extreme], list[Extreme]]:
        """Return the `count` photographs of highest mIoU, best first, and of lowest, worst first.

        A photograph without labelled pixels is in neither; in a small set none is in both.
        """
        ranked: list[Extreme] = []
        for one in self._photographs(grid, score):
            ranked.append(one)
            if len(ranked) >= self._held + 2 * count:
                ranked.sort(key=_by_miou)
                del ranked[count:-count]
        ranked.sort(key=_by_miou)
        half = (len(ranked) + 1) // 2
        return ranked[: min(count, half)], ranked[: half - 1 : -1][:count]

    def _photographs(self, grid: Grid, score: Score) -> Iterator[Extreme]:
        classes = len(score.table.names)
        # Mode "stego" leaves out pixels that were predicted as an extra cluster.
        clusters = classes if score.mode == "stego" else len(score.assignment)
        self._file.seek(0)
        for line in self._file:
            pair, cells, values = json.loads(line)
            counts = grid.empty()
            counts.ravel()[cells] = values
            confusion, unmatched = matched_confusion(counts[:classes, :clusters], score.assignment[:clusters])
            if score.mode == "honest":
                unmatched = unmatched + counts[:classes, clusters:].sum(axis=1)
            ious = class_iou(confusion, unmatched)
            if not math.isnan(mean_iou(ious)):
                yield Extreme(MaskPair(*pair), mean_iou(ious), accuracy(confusion, unmatched))

    def __enter__(self) -> CountsByPair:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _by_miou(one: Extreme) -> tuple[float, str]:
    return -one.miou, one.pair.name
