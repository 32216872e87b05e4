"""The end of a training: clusters of the finished codes, and the checkpoint."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.provenance import ClassCandidate, MetricsLine, Provenance
from stego_cli.progress import Progress
from stego_cli.settings import TrainSettings, clusters_for
from stego_cli.training.features import Features
from stego_cli.training.finished_codes import random_patches
from stego_cli.training.fit import Fit
from stego_cli.training.mixture import joined_classes, moved_to
from stego_cli.training.resolve import ResolvedBackbone
from stego_cli.training.suggest import suggest_classes
from stego_cli.version import __version__

_KMEANS_SAMPLE = 40_000  # patches
_MIN_CLASSES, _MAX_CLASSES = 4, 27  # suggested; 27 is CocoStuff27's number. Others must be asked for


def cluster_codes(
    fit: Fit, features: Features, backbone: ResolvedBackbone, last: MetricsLine | None, progress: Progress
) -> Checkpoint:
    """Cluster the codes and return the checkpoint, with the number of classes chosen if the settings leave it open.

    Args:
        fit: the finished training; its head is moved to the CPU.
        features: of the photographs.
        backbone: that they were computed with.
        last: the metrics of the last step.
        progress: receives the choice of the number of classes.
    """
    settings = fit.settings
    generator = torch.Generator().manual_seed(settings.seed)  # the seed alone: a resumed run draws the same patches
    head = fit.head.cpu().eval().folded()
    patches = random_patches(head, features, settings.smoothing, _KMEANS_SAMPLE, generator)
    codes = torch.nn.functional.normalize(patches.codes, dim=1)
    curve: tuple[ClassCandidate, ...] = ()
    if settings.classes is None:
        settings, curve = _choose_classes(settings, features, codes, progress)
    assert settings.classes is not None
    clusters = clusters_for(settings.overcluster, settings.classes)
    if settings.overcluster is not None:
        settings = replace(settings, overcluster=clusters)
    if fit.centroids is None or settings.overcluster is not None:
        finer = 1 if settings.overcluster is not None else settings.finer
        probe = joined_classes(
            codes, patches.features, clusters, finer, settings.restarts, settings.temperature, generator
        )
    else:  # trained together with the head; only ordered here
        probe = ClusterProbe(torch.nn.functional.normalize(fit.centroids.detach().cpu(), dim=1), settings.temperature)
        probe = probe.by_frequency(codes)
    if settings.smoothing:  # the classes of the codes alone, and the centroids of the smoothed ones, score best
        probe = moved_to(probe, codes, patches.smoothed)
    return Checkpoint(
        head=head,
        cluster=probe,
        shares=tuple(probe.shares(patches.smoothed).tolist()),
        backbone=backbone.vit.row,
        block=backbone.vit.block,
        token=backbone.vit.token,
        weights_sha256=backbone.weights_sha256,
        res=settings.res,
        settings=settings,
        provenance=Provenance(
            stego_version=__version__,
            photographs=len(set(features.paths)),
            photographs_failed=len(features.failed),
            steps_done=fit.step,
            last=last,
            class_curve=curve,
            blocks=backbone.considered,
        ),
    )


def _choose_classes(
    settings: TrainSettings, features: Features, codes: Tensor, progress: Progress
) -> tuple[TrainSettings, tuple[ClassCandidate, ...]]:
    """Choose the number of classes, and report the choice."""
    count = len(set(features.paths))
    most = min(most_classes(count), int(features.grids.prod(1).sum()))
    # A generator of its own: k-means draws the same numbers whether K was given or chosen.
    generator = torch.Generator().manual_seed(settings.seed)
    classes, curve = suggest_classes(codes, min(_MIN_CLASSES, most), most, generator)
    progress.event("class_curve", curve=curve)
    stability = next(each["stability"] for each in curve if each["classes"] == classes)
    progress.note(
        f"{classes} classes for {count} photograph{'' if count == 1 else 's'}, found again in other patches "
        f"({stability:.0%}). Up to {most} were tried, and those near 8 preferred. Another number can be given."
    )
    return replace(settings, classes=classes), tuple(curve)


def most_classes(photographs: int) -> int:
    """Return the largest K worth trying: few photographs show few things repeatedly.

    On 13 photographs, 7 classes include one sky for all of them with each of three seeds, 9 classes with one of three.
    """
    return min(_MAX_CLASSES, max(_MIN_CLASSES, round(2 + 1.5 * math.sqrt(photographs))))
