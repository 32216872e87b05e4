"""A look at the codes while they are trained that notices when training goes on for too long.

Early on codes gather in clusters. Later they go on to tell apart what belongs together (the same road in another
light), and the clusters come loose again: on CamVid the mean cosine of codes to their nearest centroid is highest near
the step after which models get worse on frames of mixed sequences (docs/training.md). No label is needed to see that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.training.kmeans import cosine_kmeans

EVERY = 50  # steps between looks
SAMPLE = 4000  # patches
_CLUSTERS = 10  # where nobody has said how many
_LOST = 0.015  # share of the best compactness whose loss is too much


def compactness(head: Head, tokens: Tensor, classes: int | None) -> float:
    """Return the mean cosine of the codes of `tokens`, (n, C) on the CPU, to the nearest of their centroids."""
    device = next(head.parameters()).device
    with torch.no_grad():
        codes = torch.nn.functional.normalize(head(tokens.to(device)).cpu(), dim=1)
    centroids = cosine_kmeans(codes, classes or _CLUSTERS, 3, torch.Generator().manual_seed(0), iterations=30)
    return float((codes @ centroids.T).amax(1).mean())


def best_step(seen: dict[int, float]) -> int | None:
    """Return the step after which codes came loose, if they have by the last one of `seen`; else None."""
    if not seen:
        return None
    best = max(seen, key=lambda step: (seen[step], -step))
    return best if seen[max(seen)] < seen[best] * (1 - _LOST) else None
