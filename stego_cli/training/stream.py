"""The backbone over many views, each computed once and handed on: what fills the cache, and what replaces it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stego_cli.images.decode import Rgb
from stego_cli.images.streams import by_shape, map_ahead
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.stop import Stop
from stego_cli.training.views import Cut, View, pixels_of, views_of

_AHEAD = 32  # photographs decoded before they are needed, and views at most waiting for others of their shape


@dataclass(frozen=True)
class Survey:
    """What the photographs' headers tell.

    Attributes:
        views: of all photographs that can be opened, a photograph's own in a row.
        grids: each view's height and width in patches.
        failed: photographs that cannot: path and reason.
    """

    views: list[View]
    grids: list[tuple[int, int]]
    failed: list[tuple[Path, str]]

    def bytes(self, width: int) -> int:
        """Return the size of all features, in float16, of a backbone of that width."""
        return sum(rows * columns for rows, columns in self.grids) * width * 2


def survey(paths: list[Path], cut: Cut) -> Survey:
    """Read every photograph's header."""
    found: list[View] = []
    failed: list[tuple[Path, str]] = []
    with ThreadPoolExecutor(cores()) as pool:
        headers = pool.map(lambda item: views_of(item[0], item[1], cut), enumerate(paths))
        for path, views in zip(paths, headers, strict=True):
            if isinstance(views, str):
                failed.append((path, views))
            else:
                found += views
    return Survey(found, [cut.grid(view.box) for view in found], failed)


@dataclass(frozen=True)
class Computed:
    """A view's features, (h * w, C) float16 on the CPU, and their mean, (C,) float32; or the reason for none."""

    index: int
    features: Tensor | None = None
    mean: Tensor | None = None
    reason: str = ""


def stream(
    backbone: FrozenViT,
    views: list[View],
    indices: list[int],
    cut: Cut,
    device: torch.device,
    stop: Stop,
    pool: Executor,
    batch: int = 8,
) -> Iterator[list[Computed]]:
    """Yield the features of those views, in groups of one shape, in no particular order.

    Args:
        backbone: on `device`.
        views: all views.
        indices: of those wanted; a photograph's own in a row.
        cut: how photographs become views.
        device: where the backbone runs.
        stop: asked between groups.
        pool: decodes.
        batch: views that run together.

    Raises:
        Stopped: the user asked for it.
    """

    def work(numbers: list[int]) -> list[tuple[int, Rgb | str]]:
        pixels = pixels_of([views[index] for index in numbers], cut)
        return [(index, pixels if isinstance(pixels, str) else pixels[n]) for n, index in enumerate(numbers)]

    photographs = [list(group) for _, group in itertools.groupby(indices, lambda index: views[index].photo)]
    decoded = itertools.chain.from_iterable(map_ahead(pool, work, photographs, _AHEAD))
    for group in by_shape(decoded, _shape, lambda: batch, _AHEAD):
        stop.check()
        yield compute(backbone, group, device)


def compute(backbone: FrozenViT, group: list[tuple[int, Rgb | str]], device: torch.device) -> list[Computed]:
    """Run the backbone over views of one shape, and pass on the reasons of those without pixels."""
    images = [(index, pixels) for index, pixels in group if not isinstance(pixels, str)]
    done = [Computed(index, reason=pixels) for index, pixels in group if isinstance(pixels, str)]
    if images:
        features = backbone_features(backbone, np.stack([pixels for _, pixels in images]), device)
        means = features.float().mean(1).cpu()
        half = features.half().cpu()
        done += [Computed(index, half[row], means[row]) for row, (index, _) in enumerate(images)]
    return done


def backbone_features(backbone: FrozenViT, pixels: Rgb, device: torch.device) -> Tensor:
    """Return features (B, h * w, C) of pixels (B, H, W, 3), in mixed precision where the device gains by it.

    What is not finite in half precision is computed again in single precision.
    """
    stacked = torch.from_numpy(pixels).to(device)
    with torch.inference_mode():
        with autocast(device):
            features: Tensor = backbone(stacked).flatten(1, 2)
        if device.type == "cuda" and not bool(torch.isfinite(features).all()):
            features = backbone(stacked).flatten(1, 2)
        return features


def autocast(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Return float16 arithmetic for matrix products on CUDA; the cache is float16 anyway. The CPU stays in float32."""
    return torch.autocast("cuda", dtype=torch.float16) if device.type == "cuda" else contextlib.nullcontext()


def _shape(item: tuple[int, Rgb | str]) -> tuple[int, ...] | None:
    return None if isinstance(item[1], str) else item[1].shape
