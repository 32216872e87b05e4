"""Which block of a backbone to take features from, found on the photographs themselves, without labels.

The last block of a vision transformer is made for the task it was trained with, and often poor in what tells patches
apart; early ones know colours and edges only. The measure is how many directions a block's features really use: the
exponential of the entropy of their spectrum, as RankMe (Garrido et al., 2023) ranks whole networks. On CamVid it orders
the default backbone's blocks as the models trained on them score (docs/training.md). It is for backbones that nobody
has studied: where a row of the table names a block, labels and eyes have been asked as well.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress
from stego_cli.stop import Stop
from stego_cli.training.stream import autocast
from stego_cli.training.views import Cut, pixels_of, views_of

_PHOTOGRAPHS = 32  # looked at, evenly over all


def spectral_dimensions(covariance: Tensor) -> float:
    """Return exp of the entropy of a covariance's eigenvalues (C, C), taken as shares: 1 to C."""
    shares = torch.linalg.eigvalsh(covariance.double()).clamp(min=0)
    shares = shares / shares.sum().clamp(min=1e-30)
    return float(torch.exp(-(shares * (shares + 1e-30).log()).sum()))


def block_dimensions(
    backbone: FrozenViT, paths: list[Path], cut: Cut, device: torch.device, progress: Progress, stop: Stop
) -> dict[int, float]:
    """Return the spectral dimensions of the features of each block in the second half of a backbone.

    Args:
        backbone: whole, up to its last block.
        paths: photographs, of which some are looked at; those that cannot be decoded are left out.
        cut: how photographs become views; of each the first view is looked at.
        device: where it runs.
        progress: shown a stage.
        stop: asked between photographs.

    Raises:
        Stopped: the user asked for it.
    """
    chosen = paths[:: max(1, len(paths) // _PHOTOGRAPHS)][:_PHOTOGRAPHS]
    backbone.to(device)
    first = backbone.row.blocks // 2
    moments = [_Moments() for _ in range(first, backbone.row.blocks)]
    with (
        ThreadPoolExecutor(cores()) as pool,
        progress.stage("Comparing blocks", len(chosen), unit="photographs") as stage,
        torch.inference_mode(),
    ):
        for pixels in pool.map(lambda item: _first_view(item[0], item[1], cut), enumerate(chosen)):
            stop.check()
            stage.advance()
            if pixels is None:
                continue
            with autocast(device):
                features = backbone.every_block(pixels[None].to(device))[first:]
            for moment, each in zip(moments, features, strict=True):
                moment.add(each.flatten(0, 2).double())
    if not moments[0].count:
        return {}
    return {first + number: spectral_dimensions(moment.covariance()) for number, moment in enumerate(moments)}


def best_block(dimensions: dict[int, float]) -> int:
    """Return the block with the most dimensions; of equals the later."""
    return max(dimensions, key=lambda block: (dimensions[block], block))


def _first_view(number: int, path: Path, cut: Cut) -> Tensor | None:
    views = views_of(number, path, cut)
    pixels = views if isinstance(views, str) else pixels_of(views[:1], cut)
    return None if isinstance(pixels, str) else torch.from_numpy(pixels[0].copy())


class _Moments:
    """Sums of features and of their products, from which the covariance of all follows."""

    def __init__(self) -> None:
        self.count, self._sum, self._products = 0, torch.zeros(()), torch.zeros(())

    def add(self, features: Tensor) -> None:
        self.count += len(features)
        self._sum = self._sum.to(features) + features.sum(0)
        self._products = self._products.to(features) + features.T @ features

    def covariance(self) -> Tensor:
        mean = self._sum / self.count
        return (self._products / self.count - mean[:, None] * mean[None]).cpu()
