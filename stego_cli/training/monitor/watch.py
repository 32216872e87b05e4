"""Seeing it train: watchers are told what a run measures, and take no part in it.

A watcher that fails is told nothing more, and the run goes on: a plot is never worth a model. Watchers draw from no
source of randomness that training uses, so the same seed gives the same bytes with them and without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.head import Head
from stego_cli.progress import Progress
from stego_cli.settings import TrainSettings
from stego_cli.training.features import Features
from stego_cli.training.fit import TERMS, Fit, StepFigures

BINS = 80  # of a histogram over -1 to 1
_EVERY = 25  # steps between histograms
_SAMPLE = 50_000  # correspondences of a pairing that a histogram counts

Histograms = dict[tuple[str, str], Tensor]  # ("F" or "S", term): int64 (BINS,), counts from -1 to 1


class Watcher(Protocol):
    """What is told about a run.

    Attributes:
        name: what it makes, for a warning.
    """

    name: str

    def step(self, figures: StepFigures, head: Head) -> None:
        """Take in what a step measured; `head` is as the step left it."""

    def histograms(self, step: int, counts: Histograms) -> None:
        """Take in how F (centred) and S of each term's pairs were distributed."""

    def finish(self, checkpoint: Checkpoint) -> None:
        """Take in the result."""


class Watch:
    """Tells watchers, and keeps their failures from the run."""

    def __init__(self, watchers: list[Watcher], last_step: int, progress: Progress) -> None:
        self._watchers, self._last, self._progress = watchers, last_step, progress
        self._counts: Histograms = {}
        self._counting = True

    def pairs(self, step: int, term: int, features: Tensor, codes: Tensor) -> None:
        """Count a pairing's F and S (N, P, Q) at some steps; `Fit` calls this at every one."""
        if not self._counting or not (step in (1, self._last) or step % _EVERY == 0):
            return
        try:
            for kind, values in (("F", features), ("S", codes)):
                key, counts = (kind, TERMS[term]), histogram(values)
                self._counts[key] = self._counts[key] + counts if key in self._counts else counts
        except Exception as error:
            self._counting = False
            self._warn("The histograms", error)

    def step(self, figures: StepFigures, head: Head) -> None:
        """Tell what a step measured."""
        counts, self._counts = self._counts, {}
        self._tell(lambda watcher: watcher.step(figures, head))
        if counts:
            self._tell(lambda watcher: watcher.histograms(figures.step, counts))

    def finish(self, checkpoint: Checkpoint) -> None:
        """Tell the result."""
        self._tell(lambda watcher: watcher.finish(checkpoint))

    def _tell(self, call: Callable[[Watcher], None]) -> None:
        for watcher in list(self._watchers):
            try:
                call(watcher)
            except Exception as error:  # whatever a library for drawing, or the disk, comes up with
                self._watchers.remove(watcher)
                self._warn(watcher.name, error)

    def _warn(self, what: str, error: Exception) -> None:
        reason = str(error).strip().splitlines()
        self._progress.warn(
            f"{what} could not be written, which does not touch the model: "
            f"{reason[0] if reason else type(error).__name__}"
        )


def histogram(values: Tensor) -> Tensor:
    """Return how many of `values` lie in each of 80 equal bins from -1 to 1, int64 (BINS,), on the CPU.

    Of many values an even sample is counted; what lies beyond the ends counts into the outermost bins.
    """
    flat = values.detach().flatten()
    flat = flat[:: max(1, flat.numel() // _SAMPLE)].cpu().float()
    return torch.histc(flat.clamp(-1, 1), BINS, -1, 1).long()


def open_watch(
    fit: Fit, cache: Features, settings: TrainSettings, run: Path, progress: Progress, tensorboard: bool
) -> Watch:
    """Return a watch over `fit` that writes RUN/report.html at the end and, if wanted, RUN/tensorboard as it goes.

    What an earlier run left of these is removed, unless this one resumes it.
    """
    from stego_cli.training.monitor.tensorboard_log import TensorBoard, event_files
    from stego_cli.training.monitor.training_report import REPORT_FILE, Report

    if fit.step == 0:
        with contextlib.suppress(OSError):  # if it cannot be removed, writing will say why
            for file in (run / REPORT_FILE, *event_files(run)):
                file.unlink(missing_ok=True)
    watchers: list[Watcher] = [Report(cache, run)]
    if tensorboard:
        watchers.append(TensorBoard(cache, settings, run))
    watch = Watch(watchers, settings.steps, progress)
    fit.on_pairs = watch.pairs
    return watch
