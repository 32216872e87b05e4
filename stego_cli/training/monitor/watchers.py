"""The watchers of a run: its report and, if wanted, its TensorBoard log."""

from __future__ import annotations

import contextlib
from pathlib import Path

from stego_cli.progress import Progress
from stego_cli.training.features import Features
from stego_cli.training.fit import Fit
from stego_cli.training.monitor.tensorboard_log import TensorBoard, event_files
from stego_cli.training.monitor.training_report import REPORT_FILE, Report
from stego_cli.training.monitor.watch import Watch, Watcher


def open_watch(fit: Fit, features: Features, folder: Path, tensorboard: bool, progress: Progress) -> Watch:
    """Watch `fit`: write report.html into the run folder at the end and, if wanted, tensorboard/ during the run.

    Files that an earlier run left there are removed, unless this run resumes it.
    """
    if fit.step == 0:
        with contextlib.suppress(OSError):  # if they cannot be removed, writing them will report why
            for file in (folder / REPORT_FILE, *event_files(folder)):
                file.unlink(missing_ok=True)
    watchers: list[Watcher] = [Report(features, folder)]
    if tensorboard:
        watchers.append(TensorBoard(features, fit.settings, folder))
    watch = Watch(watchers, fit.settings.steps, progress)
    fit.on_pairs = watch.pairs
    return watch
