"""A look at the codes while they are trained that notices when training goes on for too long.

In a long training codes go on to tell apart what belongs together (the same road in another light), and their clusters
come loose: the mean cosine of codes to their nearest centroid falls with the models' worth (docs/training.md). No label
is needed to see that. In the first steps it falls too, by up to 3 %, while the models get better: there the codes leave
the features that they begin at. So the fall is counted from the default number of steps on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.settings import DEFAULT_STEPS
from stego_cli.training.kmeans import cosine_kmeans

EVERY = 50  # steps between looks
SAMPLE = 4000  # patches
_CLUSTERS = 10  # where nobody has said how many
_SETTLED = DEFAULT_STEPS  # what is seen before this step says nothing
_LOST = 0.02  # share of the best compactness since, whose loss is too much: twice what looks differ by chance


def compactness(head: Head, tokens: Tensor, classes: int | None) -> float:
    """Return the mean cosine of the codes of `tokens`, (n, C) on the CPU, to the nearest of their centroids."""
    device = next(head.parameters()).device
    with torch.no_grad():
        codes = torch.nn.functional.normalize(head(tokens.to(device)).cpu(), dim=1)
    centroids = cosine_kmeans(codes, classes or _CLUSTERS, 3, torch.Generator().manual_seed(0), iterations=30)
    return float((codes @ centroids.T).amax(1).mean())


def best_step(seen: dict[int, float]) -> int | None:
    """Return the step after which codes came loose, if they have by the last one of `seen`; else None."""
    settled = {step: value for step, value in seen.items() if step >= _SETTLED}
    if not settled:
        return None
    best = max(settled, key=lambda step: (settled[step], -step))
    return best if settled[max(settled)] < settled[best] * (1 - _LOST) else None
