"""The backbone over many views, decoded ahead and grouped by shape: fills the cache, or stands in for it."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stego_cli.images.decode import Rgb
from stego_cli.images.streams import by_shape, map_ahead
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.training.context import RunContext
from stego_cli.training.views import Cut, View, pixels_of

_BATCH = 8  # views of one shape that run together
_AHEAD = 32  # photographs decoded ahead, and at most as many views waiting for others of their shape


@dataclass(frozen=True)
class Computed:
    """A view's features, (h * w, C) float16 on the CPU, and their mean, (C,) float32; or the reason for their absence.

    `index` is the view's.
    """

    index: int
    features: Tensor | None = None
    mean: Tensor | None = None
    reason: str = ""


def stream(
    backbone: FrozenViT, views: list[View], indices: list[int], cut: Cut, context: RunContext
) -> Iterator[list[Computed]]:
    """Yield the features of the views `indices`, in groups of one shape, in no particular order.

    Args:
        backbone: on the context's device.
        views: all views.
        indices: of the views wanted; those of one photograph follow each other.
        cut: how photographs become views.
        context: its `stop` is checked between groups.

    Raises:
        Stopped: a signal arrived.
    """

    def decoded_views(numbers: list[int]) -> list[tuple[int, Rgb | str]]:
        pixels = pixels_of([views[index] for index in numbers], cut)
        return [(index, pixels if isinstance(pixels, str) else pixels[n]) for n, index in enumerate(numbers)]

    photographs = [list(group) for _, group in itertools.groupby(indices, lambda index: views[index].photo)]
    with ThreadPoolExecutor(cores()) as pool:
        decoded = itertools.chain.from_iterable(map_ahead(pool, decoded_views, photographs, _AHEAD))
        for group in by_shape(decoded, _shape, lambda: _BATCH, _AHEAD):
            context.stop.check()
            yield compute(backbone, group, context.device)


def compute(backbone: FrozenViT, group: list[tuple[int, Rgb | str]], device: torch.device) -> list[Computed]:
    """Run the backbone over views of one shape; a view whose pixels are missing (a reason) keeps its reason."""
    images = [(index, pixels) for index, pixels in group if not isinstance(pixels, str)]
    done = [Computed(index, reason=pixels) for index, pixels in group if isinstance(pixels, str)]
    if images:
        features = backbone_features(backbone, np.stack([pixels for _, pixels in images]), device)
        means = features.float().mean(1).cpu()
        half = features.half().cpu()
        done += [Computed(index, half[row], means[row]) for row, (index, _) in enumerate(images)]
    return done


def backbone_features(backbone: FrozenViT, pixels: Rgb, device: torch.device) -> Tensor:
    """Return features (B, h * w, C) of pixels (B, H, W, 3), in mixed precision where the device is faster with it.

    If any value is not finite in half precision, all are computed again in single precision.
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
