"""Watching a run: watchers receive its measurements and do not influence it.

A watcher that raises is dropped with a warning, and the run continues: a report is never worth a model. Watchers use
none of the random generators of training, so a run gives the same bytes with and without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.head import Head
from stego_cli.progress import Progress
from stego_cli.training.monitor.histograms import Histograms, histogram
from stego_cli.training.pairs import TERMS
from stego_cli.training.step_metrics import StepMetrics

_EVERY = 25  # steps between histograms


class Watcher(Protocol):
    """Receives the measurements of a run.

    Attributes:
        name: of what it writes, for a warning.
    """

    name: str

    def step(self, metrics: StepMetrics, head: Head) -> None:
        """Take the metrics of a step; `head` is in the state after it."""

    def histograms(self, step: int, counts: Histograms) -> None:
        """Take the distributions of F (centred) and S of each term's pairs."""

    def finish(self, checkpoint: Checkpoint) -> None:
        """Take the result."""


class Watch:
    """Passes measurements on to watchers, and keeps their errors from the run."""

    def __init__(self, watchers: list[Watcher], last_step: int, progress: Progress) -> None:
        self._watchers, self._last, self._progress = watchers, last_step, progress
        self._counts: Histograms = {}
        self._counting = True

    def pairs(self, step: int, term: int, features: Tensor, codes: Tensor) -> None:
        """Count a pairing's F and S (N, P, Q) in the steps that have histograms; for `Fit.on_pairs`."""
        if not self._counting or not (step in (1, self._last) or step % _EVERY == 0):
            return
        try:
            for kind, values in (("F", features), ("S", codes)):
                key, counts = (kind, TERMS[term]), histogram(values)
                self._counts[key] = self._counts[key] + counts if key in self._counts else counts
        except Exception as error:
            self._counting = False
            self._warn("The histograms", error)

    def step(self, metrics: StepMetrics, head: Head) -> None:
        """Pass on the metrics of a step and, in some steps, histograms."""
        counts, self._counts = self._counts, {}
        self._each(lambda watcher: watcher.step(metrics, head))
        if counts:
            self._each(lambda watcher: watcher.histograms(metrics.step, counts))

    def finish(self, checkpoint: Checkpoint) -> None:
        """Pass on the result."""
        self._each(lambda watcher: watcher.finish(checkpoint))

    def _each(self, call: Callable[[Watcher], None]) -> None:
        for watcher in list(self._watchers):
            try:
                call(watcher)
            except Exception as error:  # a drawing library or the disk may raise anything
                self._watchers.remove(watcher)
                self._warn(watcher.name, error)

    def _warn(self, what: str, error: Exception) -> None:
        reason = str(error).strip().splitlines()
        self._progress.warn(
            f"{what} could not be written, which does not affect the model: "
            f"{reason[0] if reason else type(error).__name__}"
        )
