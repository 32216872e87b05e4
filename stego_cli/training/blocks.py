"""Which block of a backbone to take features from, found on the photographs themselves, without labels.

The last block of a vision transformer is specialised in the task it was trained on, and often distinguishes patches
badly; early blocks encode only colours and edges. The measure is how many directions a block's features effectively
use: the exponential of the entropy of their spectrum, by which RankMe (Garrido et al., 2023) ranks whole networks. On
CamVid it orders the default backbone's blocks as the models trained on them score (docs/log/training.md). It is meant
for backbones that nobody has studied: a block named in the table of backbones was chosen with labels and by eye.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.training.context import RunContext
from stego_cli.training.stream import autocast
from stego_cli.training.views import Cut, pixels_of, views_of

_PHOTOGRAPHS = 32  # used at most, spread evenly over all


def spectral_dimensions(covariance: Tensor) -> float:
    """Return exp of the entropy of the eigenvalues of a covariance (C, C), each as a share of their sum: 1 to C."""
    shares = torch.linalg.eigvalsh(covariance.double()).clamp(min=0)
    shares = shares / shares.sum().clamp(min=1e-30)
    return float(torch.exp(-(shares * (shares + 1e-30).log()).sum()))


def block_dimensions(backbone: FrozenViT, paths: list[Path], cut: Cut, context: RunContext) -> dict[int, float]:
    """Return the spectral dimensions of the features of each block in the second half of a backbone.

    Args:
        backbone: with all its blocks; moved to the context's device by this function.
        paths: photographs, of which up to 32 are used; those that cannot be decoded are left out.
        cut: how photographs become views; the first view of each is used.
        context: shows a stage; its `stop` is checked between photographs.

    Returns:
        Dimensions by 0-based block; empty if no photograph can be decoded.

    Raises:
        Stopped: a signal arrived.
    """
    chosen = paths[:: max(1, len(paths) // _PHOTOGRAPHS)][:_PHOTOGRAPHS]
    backbone.to(context.device)
    first = backbone.row.blocks // 2
    moments = [_Moments() for _ in range(first, backbone.row.blocks)]
    with (
        ThreadPoolExecutor(cores()) as pool,
        context.progress.stage("Comparing blocks", len(chosen), unit="photographs") as stage,
        torch.inference_mode(),
    ):
        for pixels in pool.map(lambda item: _first_view(item[0], item[1], cut), enumerate(chosen)):
            context.stop.check()
            stage.advance()
            if pixels is None:
                continue
            with autocast(context.device):
                features = backbone.every_block(pixels[None].to(context.device))[first:]
            for moment, each in zip(moments, features, strict=True):
                moment.add(each.flatten(0, 2).double())
    if not moments[0].count:
        return {}
    return {first + number: spectral_dimensions(moment.covariance()) for number, moment in enumerate(moments)}


def best_block(dimensions: dict[int, float]) -> int:
    """Return the block with the most dimensions; of several, the last."""
    return max(dimensions, key=lambda block: (dimensions[block], block))


def _first_view(number: int, path: Path, cut: Cut) -> Tensor | None:
    views = views_of(number, path, cut)
    pixels = views if isinstance(views, str) else pixels_of(views[:1], cut)
    return None if isinstance(pixels, str) else torch.from_numpy(pixels[0].copy())


class _Moments:
    """Running sums of features and of their products, from which the covariance of all features follows."""

    def __init__(self) -> None:
        self.count, self._sum, self._products = 0, torch.zeros(()), torch.zeros(())

    def add(self, features: Tensor) -> None:
        self.count += len(features)
        self._sum = self._sum.to(features) + features.sum(0)
        self._products = self._products.to(features) + features.T @ features

    def covariance(self) -> Tensor:
        mean = self._sum / self.count
        return (self._products / self.count - mean[:, None] * mean[None]).cpu()
