"""RUN/tensorboard: scalars, histograms of correspondences and sample predictions, for `tensorboard --logdir RUN`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import UsageError
from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.head import Head
from stego_cli.scoring.matching import assign
from stego_cli.settings import TrainSettings
from stego_cli.text import shown
from stego_cli.training.features import Features
from stego_cli.training.fit import TERMS, StepFigures
from stego_cli.training.kmeans import cosine_kmeans
from stego_cli.training.monitor.sample_photos import SamplePhoto, codes_of, coloured, predict, sample_photos
from stego_cli.training.monitor.watch import BINS, Histograms

_PHOTOS, _SIDE = 4, 140  # how many, and their shorter side in pixels: masks are made while training waits
_PREDICTIONS = 5  # times in a run, besides the end
_CLUSTERED = 4000  # features that predictions during the run are clustered by


def require_tensorboard() -> None:
    """Refuse before the work what could not be done in it.

    Raises:
        UsageError: the package is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs a package that is missing.", "pip install 'stego-cli[tensorboard]'")


def event_files(run: Path) -> list[Path]:
    """Return what is written of a run so far."""
    return sorted((run / "tensorboard").glob("events.out.tfevents.*"))


class TensorBoard:
    """A `stego_cli.training.monitor.watch.Watcher` that writes event files."""

    name = "The log for TensorBoard"

    def __init__(self, cache: Features, settings: TrainSettings, run: Path) -> None:
        self._cache, self._settings, self._run = cache, settings, run
        self._every = max(1, settings.steps // _PREDICTIONS)
        self._writer: Any = None  # torch's writer has no types

    def step(self, figures: StepFigures, head: Head) -> None:
        """Write scalars, and at some steps predictions."""
        if self._writer is None:
            self._open(figures.step)
        self._writer.add_scalar("loss", figures.loss, figures.step)
        self._writer.add_scalar("rank", figures.rank, figures.step)
        for kind in ("terms", "correspondences", "b"):
            for term, value in zip(TERMS, getattr(figures, kind), strict=True):
                self._writer.add_scalar(f"{kind}/{term}", value, figures.step)
        if figures.step % self._every == 0 and figures.step < self._settings.steps:
            self._show_clusters(figures.step, head)

    def histograms(self, step: int, counts: Histograms) -> None:
        """Write F and S of the three terms."""
        edges = np.linspace(-1, 1, BINS + 1)
        centres = (edges[:-1] + edges[1:]) / 2
        for (kind, term), count in counts.items():
            values = count.numpy().astype(float)
            total = float(values.sum())
            used = np.nonzero(values)[0]
            self._writer.add_histogram_raw(
                f"{kind}/{term}",
                min=edges[used[0]],
                max=edges[used[-1] + 1],
                num=total,
                sum=float((values * centres).sum()),
                sum_squares=float((values * centres**2).sum()),
                bucket_limits=edges[1:].tolist(),
                bucket_counts=values.tolist(),
                global_step=step,
            )

    def finish(self, checkpoint: Checkpoint) -> None:
        """Write the finished masks, and close."""
        steps = int(checkpoint.facts["steps_done"])
        if self._writer is None:
            self._open(steps)
        codes = codes_of(checkpoint.head, self._features)
        self._show(steps, checkpoint.head, checkpoint.centroids, codes)
        self._writer.close()

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Steps after the state that a run resumes from were logged once already: the reader drops them.
        self._writer = SummaryWriter(str(self._run / "tensorboard"), purge_step=step)
        self._photos = sample_photos(self._cache, _PHOTOS, _SIDE)
        generator = torch.Generator().manual_seed(self._settings.seed)
        self._features = self._cache.random_tokens(_CLUSTERED, generator)
        self._classes: Tensor | None = None  # of these features, when they were last clustered
        for index, photo in enumerate(self._photos):
            self._writer.add_image(_tag(index, photo, "photograph"), photo.pixels, step, dataformats="HWC")

    def _show_clusters(self, step: int, head: Head) -> None:
        """Cluster the codes as they are now: quick and from few, since the end does it properly."""
        assert self._settings.classes is not None  # resolved
        generator = torch.Generator().manual_seed(self._settings.seed)
        codes = codes_of(head, self._features)
        self._show(step, head, cosine_kmeans(codes, self._settings.classes, 1, generator, iterations=20), codes)

    def _show(self, step: int, head: Head, centroids: Tensor, codes: Tensor) -> None:
        """Write the masks; a cluster keeps the colour of that of the last time with which it shares most features."""
        count = len(centroids)
        classes = (codes @ centroids.T).argmax(1)
        order = torch.arange(count)
        if self._classes is not None:
            shared = torch.bincount(self._classes * count + classes, minlength=count**2).reshape(count, count)
            order = torch.from_numpy(assign(shared.numpy(), "hungarian"))  # (K,): the colour of each cluster
        self._classes = order[classes]
        colours = order.to(torch.uint8).numpy()
        for index, photo in enumerate(self._photos):
            mask = coloured(colours[predict(photo, head, centroids)], count)
            self._writer.add_image(_tag(index, photo, "mask"), mask, step, dataformats="HWC")


def _tag(index: int, photo: SamplePhoto, what: str) -> str:
    return f"{index + 1} {shown(photo.path.name)}/{what}"
