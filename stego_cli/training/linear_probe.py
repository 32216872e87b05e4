"""The linear probe: a linear map from finished codes to the classes of labels (paper, section 4).

It measures how well the codes separate the classes, and does not change the codes. So it is trained after the head, on
codes computed once, at labelled points only: as every point has a class, no batch is empty and no loss undefined.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.datasets.layout import Folders
from stego_cli.model.checkpoint import Checkpoint
from stego_cli.model.head import Head
from stego_cli.progress import Progress
from stego_cli.text import shown
from stego_cli.training.features import FeatureCache, Features
from stego_cli.training.finished_codes import grid_codes
from stego_cli.training.probe_labels import LabelledPoints, read_labels

_BATCH = 4096  # points a step
_STEPS = 1500
_LR = 5e-3  # the original's


def add_linear_probe(checkpoint: Checkpoint, features: Features, folders: Folders, progress: Progress) -> Checkpoint:
    """Return the checkpoint with a linear probe trained on the labels in `folders`.

    If no pixel of them has a class, that is reported, and the checkpoint returned as it is.
    """
    generator = torch.Generator().manual_seed(checkpoint.settings.seed)
    labelled = read_labels(features.paths, folders, generator, progress, features.shares)
    if labelled is None:
        progress.warn(f"No pixel of the labels in {shown(folders.labels or '')} has a class: no linear probe.")
        return checkpoint
    codes = codes_at(features, checkpoint.head, labelled, checkpoint.settings.smoothing)
    weight, bias, right = fit_linear_probe(codes, labelled, generator)
    progress.note(f"Linear probe: {labelled.count} classes, correct on {right:.1%} of the labelled training points.")
    return replace(
        checkpoint,
        linear=(weight, bias),
        linear_names=folders.table.names if folders.table else (),
        linear_palette=tuple(folders.table.colours) if folders.table else (),
        provenance=replace(checkpoint.provenance, linear_classes=labelled.count, linear_accuracy=round(100 * right, 4)),
    )


def codes_at(features: Features, head: Head, labelled: LabelledPoints, smoothing: float) -> Tensor:
    """Return the code of each labelled point, float32 (M, D), smoothed; codes are computed a few views at a time."""
    points = torch.zeros(len(labelled.photos), head.cluster1.out_features)
    order = labelled.photos.argsort(stable=True)
    ordered = labelled.photos[order]
    for indices, group in features.groups():
        first, last = torch.searchsorted(ordered, torch.stack([indices[0], indices[-1] + 1])).tolist()
        wanted = order[first:last]
        if len(wanted):
            codes = replace(group, tokens=_codes(group, head, smoothing), starts=_starts(group.grids))
            row = torch.searchsorted(indices, labelled.photos[wanted])
            points[wanted] = sample_as_upsampled(codes, row, labelled.places[wanted])
    return points


def _starts(grids: Tensor) -> Tensor:
    sizes = grids.prod(1)
    return sizes.cumsum(0) - sizes


def _codes(group: FeatureCache, head: Head, smoothing: float) -> Tensor:
    """Return the codes of a few views in one array, float16 (T', D)."""
    codes = [grid_codes(head, group.grid(view), smoothing).flatten(0, 1).half() for view in range(len(group))]
    return torch.cat(codes)


def sample_as_upsampled(cache: FeatureCache, photos: Tensor, places: Tensor) -> Tensor:
    """Return the values of bilinear upsampling (align_corners=False) at some places.

    Args:
        cache: of features or codes.
        photos: int64 (M,), rows of the cache.
        places: (M, 2), x and y as shares of the view's width and height, 0 to 1.

    Returns:
        float32 (M, D).
    """
    size = cache.grids[photos].flip(1)  # (M, 2): columns, rows
    at = (places * size - 0.5).clamp(min=0)  # in patches; 0 is the centre of the first
    at = torch.minimum(at, size - 1.0)
    points = at / (size - 1).clamp(min=1) * 2 - 1
    return cache.sample(photos, points[:, None])[:, 0]


def fit_linear_probe(
    points: Tensor, labelled: LabelledPoints, generator: torch.Generator, steps: int = _STEPS
) -> tuple[Tensor, Tensor, float]:
    """Train a linear probe with Adam on the cross-entropy of random labelled points, with cosine decay.

    Args:
        points: (M, D) float32, the codes of the labelled points.
        labelled: their classes.
        generator: source of all randomness.
        steps: of Adam.

    Returns:
        weight (C, D), bias (C,), and the share of the labelled points that the probe classifies correctly, 0 to 1.
    """
    width = points.shape[1]
    weight = torch.empty(labelled.count, width).uniform_(-1, 1, generator=generator) / width**0.5
    bias = torch.zeros(labelled.count)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimiser = torch.optim.Adam(parameters, lr=_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        chosen = torch.randint(len(points), (_BATCH,), generator=generator)
        loss = F.cross_entropy(F.linear(points[chosen], weight, bias), labelled.classes[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        right = (F.linear(points, weight, bias).argmax(1) == labelled.classes).float().mean()
    return weight.detach(), bias.detach(), float(right)
