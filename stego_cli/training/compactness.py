"""Detects over-training from the codes alone: how compact their clusters are while the head is trained.

In a long training the codes begin to separate what belongs together (the same road in another light), and clusters
become less compact: the mean cosine of codes to their nearest centroid falls together with the models' scores
(docs/log/training.md). No label is needed to measure it. In the first steps it also falls, by up to 3 %, while the
models improve, because the codes move away from the features that they start from. So only a fall after the default
number of steps counts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stego_cli.model.head import Head
from stego_cli.settings import DEFAULT_STEPS
from stego_cli.training.kmeans import cosine_kmeans

EVERY = 50  # steps between measurements
SAMPLE = 4000  # patches
_CLUSTERS = 10  # where the number of classes is open
_SETTLED = DEFAULT_STEPS  # earlier measurements are ignored
_LOST = 0.02  # a fall by this share of the maximum is over-training: twice the random variation of a measurement


def compactness(head: Head, tokens: Tensor, classes: int | None) -> float:
    """Return the mean cosine, -1 to 1, of the codes of `tokens`, (n, C) on the CPU, to their nearest centroid."""
    device = next(head.parameters()).device
    with torch.no_grad():
        codes = torch.nn.functional.normalize(head(tokens.to(device)).cpu(), dim=1)
    centroids = cosine_kmeans(codes, classes or _CLUSTERS, 3, torch.Generator().manual_seed(0), iterations=30)
    return float((codes @ centroids.T).amax(1).mean())


def best_step(measured: dict[int, float]) -> int | None:
    """Return the step with the most compact codes if they are clearly less compact at the last step, else None.

    Args:
        measured: compactness by step.
    """
    settled = {step: value for step, value in measured.items() if step >= _SETTLED}
    if not settled:
        return None
    best = max(settled, key=lambda step: (settled[step], -step))
    return best if settled[max(settled)] < settled[best] * (1 - _LOST) else None
