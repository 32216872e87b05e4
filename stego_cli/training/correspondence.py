"""Correspondence tensors and the loss that distils them (paper, equations 1 to 4): pure functions on points.

Tensors of points are channels last, (N, P, C): P points of each of N photographs, on a grid or at random places.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def correspondence(first: Tensor, second: Tensor) -> Tensor:
    """Return the cosine of every point of `first` (N, P, C) with every one of `second` (N, Q, C) (paper, equation 1).

    Returns:
        (N, P, Q), -1 to 1; 0 for a zero vector.
    """
    return F.normalize(first, dim=-1, eps=1e-10) @ F.normalize(second, dim=-1, eps=1e-10).transpose(1, 2)


def centre(correspondences: Tensor) -> Tensor:
    """Return correspondences (N, P, Q) with each point's mean over Q removed and the mean of all kept (equation 3).

    This balances small objects, whose points correspond with few others, against large ones.
    """
    centred = correspondences - correspondences.mean(2, keepdim=True)
    return centred - centred.mean() + correspondences.mean()


def correspondence_loss(features: Tensor, codes: Tensor, b: Tensor | float, clamp: bool = True) -> Tensor:
    """Return the element-wise loss -max(S, 0) (F - b), (N, P, Q) (paper, equations 2 and 4).

    Args:
        features: F, centred or not, without gradient, (N, P, Q).
        codes: S, the correspondence of the codes, (N, P, Q).
        b: the shift; pairs with F above it are pulled together, the others pushed apart.
        clamp: give negative S no gradient, so that dissimilar codes are not pushed beyond orthogonal.
    """
    return -(codes.clamp(min=0.0) if clamp else codes) * (features - b)
