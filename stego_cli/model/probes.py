"""The probes: from codes to classes, by cosine to centroids or by a linear map trained on labels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from stego_cli.settings import PAPER_TEMPERATURE


def cluster_log_probs(code: Tensor, centroids: Tensor, temperature: float = PAPER_TEMPERATURE) -> Tensor:
    """Return log_softmax(temperature * cos(code, centroid)).

    Args:
        code: (B, D, H, W).
        centroids: (K, D), of any length.
        temperature: the higher, the sharper the probabilities and the less a CRF changes.

    Returns:
        (B, K, H, W), log-probabilities.
    """
    cosine = F.conv2d(F.normalize(code, dim=1), F.normalize(centroids, dim=1)[:, :, None, None])
    return F.log_softmax(temperature * cosine, dim=1)


def linear_log_probs(code: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return log_softmax of a 1 x 1 convolution of the code (B, D, H, W) with weight (K, D) and bias (K,)."""
    return F.log_softmax(F.conv2d(code, weight[:, :, None, None], bias), dim=1)
