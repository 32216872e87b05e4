"""What ends a training: the clusters of the finished codes, and the checkpoint."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import torch

from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress
from stego_cli.settings import TrainSettings
from stego_cli.training.features import Features
from stego_cli.training.fit import Fit
from stego_cli.training.kmeans import cluster_shares, cosine_kmeans
from stego_cli.training.suggest import Candidate, suggest_classes
from stego_cli.version import __version__

_KMEANS_SAMPLE = 40_000  # patches
_MIN_CLASSES, _MAX_CLASSES = 4, 27  # suggested; 27 as CocoStuff27 has; others are asked for by name


def most_classes(photographs: int) -> int:
    """Return the largest K worth trying: few photographs hold few things that recur.

    On 13 photographs 7 classes have one sky for all of them with each of three seeds, 9 with one of three.
    """
    return min(_MAX_CLASSES, max(_MIN_CLASSES, round(2 + 1.5 * math.sqrt(photographs))))


def _with_classes(
    settings: TrainSettings, features: Features, codes: torch.Tensor, progress: Progress
) -> tuple[TrainSettings, list[Candidate]]:
    """Choose the number of classes, saying so."""
    count = len(set(features.paths))
    most = min(most_classes(count), int(features.grids.prod(1).sum()))
    generator = torch.Generator().manual_seed(settings.seed)  # of its own: K given or found, k-means draws the same
    classes, curve = suggest_classes(codes, min(_MIN_CLASSES, most), most, generator)
    progress.event("class_curve", curve=[asdict(each) for each in curve])
    stability = next(each.stability for each in curve if each.classes == classes)
    progress.note(
        f"{classes} classes for {count} photograph{'' if count == 1 else 's'}: of up to {most} the most that are found "
        f"again in other patches ({stability:.0%}; choose with --classes)."
    )
    return replace(settings, classes=classes), curve


def finished(
    fit: Fit,
    features: Features,
    vit: FrozenViT,
    weights_sha256: str,
    settings: TrainSettings,
    last: dict[str, object] | None,
    progress: Progress,
) -> Checkpoint:
    """Cluster the codes. The draw depends on the seed alone, so that a resumed run ends like an undisturbed one."""
    generator = torch.Generator().manual_seed(settings.seed)
    head = fit.head.cpu().eval()
    with torch.no_grad():
        codes = torch.nn.functional.normalize(head(features.random_tokens(_KMEANS_SAMPLE, generator)), dim=1)
    curve: list[Candidate] = []
    if settings.classes is None:
        settings, curve = _with_classes(settings, features, codes, progress)
    assert settings.classes is not None
    if fit.centroids is None:
        centroids = cosine_kmeans(codes, settings.classes, settings.restarts, generator)
    else:  # trained beside the head; here only put in order
        centroids = torch.nn.functional.normalize(fit.centroids.detach().cpu(), dim=1)
        centroids = centroids[cluster_shares(codes, centroids).argsort(descending=True, stable=True)].contiguous()
    return Checkpoint(
        head=head,
        centroids=centroids,
        shares=tuple(cluster_shares(codes, centroids).tolist()),
        backbone=vit.row,
        block=vit.block,
        token=vit.token,
        weights_sha256=weights_sha256,
        res=settings.res,
        settings=settings,
        facts={
            "stego_version": __version__,
            "photographs": len(set(features.paths)),
            "photographs_failed": len(features.failed),
            "steps_done": fit.step,
            "last": last,
            **({"class_curve": [asdict(each) for each in curve]} if curve else {}),
        },
    )
