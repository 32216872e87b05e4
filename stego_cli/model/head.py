"""The head: features to codes (paper, section 3; the only part trained by distilling correspondences)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """`linear(x) + nonlinear(x)`, both 1 x 1 convolutions, here as linear layers on channels-last features.

    The parameters are named after the original's `cluster1` and `cluster2`.

    Args:
        width: of the features; `code`: of the codes.
        nonlinear: whether there is a second branch.
        removed: (k, width), orthonormal directions that the features lose before the layers; see `folded`.
    """

    def __init__(self, width: int, code: int, nonlinear: bool = True, removed: Tensor | None = None) -> None:
        super().__init__()
        self.removed: Tensor | None
        self.register_buffer("removed", removed, persistent=False)
        self.cluster1 = nn.Linear(width, code)
        self.cluster2 = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, code)) if nonlinear else None

    def forward(self, features: Tensor, masks: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return codes (..., code) of features (..., width).

        Args:
            features: channels last.
            masks: in training, two dropout masks that broadcast against the features, one for each branch.
        """
        if self.removed is not None:
            features = without(features, self.removed)
        first, second = (features, features) if masks is None else (features * masks[0], features * masks[1])
        codes: Tensor = self.cluster1(first)
        return codes if self.cluster2 is None else codes + self.cluster2(second)

    def folded(self) -> Head:
        """Return a copy that maps features to the same codes, in which the weights do what `removed` did."""
        head = copy.deepcopy(self)
        if head.removed is not None:
            layers = [head.cluster1] if head.cluster2 is None else [head.cluster1, head.cluster2[0]]
            for layer in layers:
                assert isinstance(layer, nn.Linear)
                layer.weight.data = without(layer.weight.data, head.removed)
            head.removed = None
        return head


def without(features: Tensor, directions: Tensor) -> Tensor:
    """Return features (..., C) without their components in orthonormal directions (k, C)."""
    return features - (features @ directions.T) @ directions


def channel_dropout(count: int, channels: int, rate: float, generator: torch.Generator) -> Tensor:
    """Return a mask (count, 1, channels) that drops whole channels of a photograph, scaled to keep the mean.

    Dropout2d of the original: one draw a photograph and channel, shared by all its points.
    """
    keep = torch.rand(count, 1, channels, generator=generator) >= rate
    return keep.float() / (1.0 - rate)
