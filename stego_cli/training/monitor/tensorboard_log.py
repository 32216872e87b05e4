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
from stego_cli.model.probes import ClusterProbe
from stego_cli.scoring.matching import assign
from stego_cli.settings import TrainSettings
from stego_cli.text import shown
from stego_cli.training.features import Features
from stego_cli.training.kmeans import cosine_kmeans
from stego_cli.training.monitor.histograms import Histograms, bin_centres, bin_edges
from stego_cli.training.monitor.sample_photos import SamplePhoto, codes_of, coloured, predict, sample_photos
from stego_cli.training.pairs import TERMS
from stego_cli.training.step_metrics import StepMetrics

_PHOTOS, _SIDE = 4, 140  # number of photographs, and their shorter side in pixels: training waits for their masks
_PREDICTIONS = 5  # times that masks are written during a run, besides the end
_CLUSTERED = 4000  # patches that k-means during the run uses


def require_tensorboard() -> None:
    """Check before the work that the package is installed.

    Raises:
        UsageError: it is not.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "needs a package that is missing.", "pip install 'stego-cli[tensorboard]'", field="tensorboard"
        )


def event_files(run: Path) -> list[Path]:
    """Return the event files in a run folder."""
    return sorted((run / "tensorboard").glob("events.out.tfevents.*"))


class TensorBoard:
    """A `stego_cli.training.monitor.watch.Watcher` that writes event files."""

    name = "The log for TensorBoard"

    def __init__(self, features: Features, settings: TrainSettings, folder: Path) -> None:
        self._features, self._settings, self._folder = features, settings, folder
        self._every = max(1, settings.steps // _PREDICTIONS)
        self._writer: Any = None  # torch's writer has no types

    def step(self, metrics: StepMetrics, head: Head) -> None:
        """Write scalars, and at some steps predictions."""
        if self._writer is None:
            self._open(metrics.step)
        self._writer.add_scalar("loss", metrics.loss, metrics.step)
        self._writer.add_scalar("rank", metrics.rank, metrics.step)
        for kind in ("terms", "correspondences", "b"):
            for term, value in zip(TERMS, getattr(metrics, kind), strict=True):
                self._writer.add_scalar(f"{kind}/{term}", value, metrics.step)
        if metrics.step % self._every == 0 and metrics.step < self._settings.steps:
            self._show_clusters(metrics.step, head)

    def histograms(self, step: int, counts: Histograms) -> None:
        """Write F and S of the three terms."""
        edges, centres = bin_edges(), bin_centres()
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
        steps = checkpoint.provenance.steps_done or 0
        if self._writer is None:
            self._open(steps)
        codes = codes_of(checkpoint.head, self._tokens)
        self._show(steps, checkpoint.head, checkpoint.cluster, codes)
        self._writer.close()

    def _open(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # The steps after the saved state were logged before the interruption: the reader drops those events.
        self._writer = SummaryWriter(str(self._folder / "tensorboard"), purge_step=step)
        self._photos = sample_photos(self._features, _PHOTOS, _SIDE)
        generator = torch.Generator().manual_seed(self._settings.seed)
        self._tokens = self._features.random_tokens(_CLUSTERED, generator)
        self._classes: Tensor | None = None  # of these tokens, when they were last clustered
        for index, photo in enumerate(self._photos):
            self._writer.add_image(_tag(index, photo, "photograph"), photo.pixels, step, dataformats="HWC")

    def _show_clusters(self, step: int, head: Head) -> None:
        """Cluster the present codes: quickly and with few patches; the final classes are found at the end."""
        assert self._settings.classes is not None  # resolved
        generator = torch.Generator().manual_seed(self._settings.seed)
        codes = codes_of(head, self._tokens)
        centroids = cosine_kmeans(codes, self._settings.classes, 1, generator, iterations=20)
        self._show(step, head, ClusterProbe(centroids, self._settings.temperature), codes)

    def _show(self, step: int, head: Head, cluster: ClusterProbe, codes: Tensor) -> None:
        """Write the masks. Each cluster has the colour of the earlier cluster with which it shares most patches."""
        count = len(cluster)
        classes = cluster.nearest(codes)
        order = torch.arange(count)
        if self._classes is not None:
            shared = torch.bincount(self._classes * count + classes, minlength=count**2).reshape(count, count)
            order = torch.from_numpy(assign(shared.numpy(), "hungarian"))  # (K,): the colour of each cluster
        self._classes = order[classes]
        colours = order.to(torch.uint8).numpy()
        for index, photo in enumerate(self._photos):
            mask = coloured(colours[predict(photo, head, cluster, self._settings.smoothing)], count)
            self._writer.add_image(_tag(index, photo, "mask"), mask, step, dataformats="HWC")


def _tag(index: int, photo: SamplePhoto, what: str) -> str:
    return f"{index + 1} {shown(photo.path.name)}/{what}"
