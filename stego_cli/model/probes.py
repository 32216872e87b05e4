"""The probes: from codes to classes, by cosine to centroids or by a linear map trained on labels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stego_cli.settings import PAPER_TEMPERATURE


class ClusterProbe(nn.Module):
    """log_softmax(temperature * cos(code, centroid) + log_prior).

    Args:
        centroids: (K, D), of any length.
        temperature: the higher, the sharper the probabilities and the less a CRF changes.
        log_prior: (K,), of classes that are not equally frequent; None: they are.
    """

    def __init__(
        self, centroids: Tensor, temperature: float = PAPER_TEMPERATURE, log_prior: Tensor | None = None
    ) -> None:
        super().__init__()
        self.centroids: Tensor
        self.log_prior: Tensor | None
        self.register_buffer("centroids", centroids)
        self.register_buffer("log_prior", log_prior)
        self.temperature = temperature

    def __len__(self) -> int:
        """Return K."""
        return len(self.centroids)

    def forward(self, code: Tensor) -> Tensor:
        """Return log-probabilities (B, K, H, W) of a code (B, D, H, W)."""
        scores = F.conv2d(F.normalize(code, dim=1), self.temperature * self._unit()[:, :, None, None], self.log_prior)
        return F.log_softmax(scores, dim=1)

    def nearest(self, codes: Tensor) -> Tensor:
        """Return the most probable class of each code (n, D), int64 (n,)."""
        scores = self.temperature * F.normalize(codes, dim=1) @ self._unit().T
        return (scores if self.log_prior is None else scores + self.log_prior).argmax(1)

    def shares(self, codes: Tensor) -> Tensor:
        """Return the share of codes (n, D) of each class, float64 (K,), adding up to 1."""
        return torch.bincount(self.nearest(codes), minlength=len(self)).double() / len(codes)

    def by_frequency(self, codes: Tensor) -> ClusterProbe:
        """Return the probe with its classes in the order of their shares of codes (n, D), the largest first."""
        order = self.shares(codes).argsort(descending=True, stable=True)
        log_prior = None if self.log_prior is None else self.log_prior[order].contiguous()
        return ClusterProbe(self.centroids[order].contiguous(), self.temperature, log_prior)

    def split(self, number: int, pieces: Tensor, parts: Tensor) -> ClusterProbe:
        """Return the probe with a class in pieces: the first in its place, the others behind the last.

        Args:
            number: of the class.
            pieces: (n, D), the centroids, of unit length.
            parts: (n,) share of the class in each, above 0.
        """

        def replaced(old: Tensor, new: Tensor) -> Tensor:
            return torch.cat([old[:number], new[:1], old[number + 1 :], new[1:]])

        log_prior = self.log_prior
        if log_prior is not None:
            log_prior = replaced(log_prior, log_prior[number] + parts.to(log_prior.dtype).log())
        return ClusterProbe(replaced(self._unit(), pieces), self.temperature, log_prior)

    def _unit(self) -> Tensor:
        return F.normalize(self.centroids, dim=1)


def linear_log_probs(code: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return log_softmax of a 1 x 1 convolution of the code (B, D, H, W) with weight (K, D) and bias (K,)."""
    return F.log_softmax(F.conv2d(code, weight[:, :, None, None], bias), dim=1)
