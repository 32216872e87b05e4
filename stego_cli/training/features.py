"""The features of all views: what training reads of them, and the cache that keeps them.

The backbone is frozen, so no step needs to run it again: `cached.py` fills the cache once. The cache holds the patch
grids of all views one after another in one (T, C) float16 array, each grid with its own height and width. Features
that are too large to keep are computed whenever they are needed (`live.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_GROUP = 64  # views in a group of `groups`


@dataclass(kw_only=True)
class Features(ABC):
    """The features of N views, kept or computed on demand.

    Attributes:
        grids: (N, 2) int64, each view's height and width in patches.
        pooled: (N, C) float32, each view's mean feature.
        paths: the path of each view's photograph.
        failed: photographs that could not be decoded: path and reason.
        photos: (N,) int64, the number of each view's photograph; by default each view is a photograph.
        shares: (N, 4) float32, the part of the photograph that each view shows: left, top, right, bottom, 0 to 1.
    """

    grids: Tensor
    pooled: Tensor
    paths: list[Path]
    failed: list[tuple[Path, str]]
    photos: Tensor = field(default_factory=lambda: torch.empty(0))
    shares: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        if len(self.photos) != len(self.paths):
            self.photos = torch.arange(len(self.paths))
        if len(self.shares) != len(self.paths):
            self.shares = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(len(self.paths), 1)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def width(self) -> int:
        """Length of a patch's feature, C."""
        return self.pooled.shape[1]

    def attributes_of(self, views: Tensor) -> dict[str, Any]:
        """Return the attributes of those views alone, int64 (n,), as arguments for a cache of them."""
        parts = {name: getattr(self, name)[views] for name in ("grids", "pooled", "photos", "shares")}
        return {"paths": [self.paths[index] for index in views.tolist()], **parts}

    @abstractmethod
    def random_tokens(self, count: int, generator: torch.Generator) -> Tensor:
        """Return at most `count` patch features drawn at random from all views, float32 (n, C)."""

    @abstractmethod
    def grid(self, view: int) -> Tensor:
        """Return all features of a view, float32 (h, w, C)."""

    @abstractmethod
    def groups(self) -> Iterator[tuple[Tensor, FeatureCache]]:
        """Yield all views a few at a time: their indices, int64 (b,), and their features."""

    @abstractmethod
    def follow(self, plan: Callable[[int], Tensor], steps: range) -> Iterator[tuple[FeatureCache, Tensor]]:
        """Yield, for each step, a cache and the rows in it, int64 (b,), of the views that `plan(step)` lists."""


@dataclass(kw_only=True)
class FeatureCache(Features):
    """Features that are kept, in memory or in a memory-mapped file.

    Attributes:
        tokens: (T, C) float16, on the CPU, the patch features of all views.
        starts: (N,) int64, each view's first row in `tokens`.
    """

    tokens: Tensor
    starts: Tensor

    def only(self, kept: Tensor) -> FeatureCache:
        """Return the cache with those views alone, int64 (n,); the tokens are shared."""
        return replace(self, starts=self.starts[kept], **self.attributes_of(kept))

    def groups(self) -> Iterator[tuple[Tensor, FeatureCache]]:
        """Yield all views a few at a time: their indices, int64 (b,), and their features."""
        for start in range(0, len(self), _GROUP):
            indices = torch.arange(start, min(start + _GROUP, len(self)))
            yield indices, self.only(indices)

    def follow(self, plan: Callable[[int], Tensor], steps: range) -> Iterator[tuple[FeatureCache, Tensor]]:
        """Yield, for each step, a cache and the rows in it, int64 (b,), of the views that `plan(step)` lists."""
        for step in steps:
            yield self, plan(step)

    def grid(self, view: int) -> Tensor:
        """Return all features of a view, float32 (h, w, C)."""
        return self.maps(torch.tensor([view]))[0]

    def maps(self, views: Tensor) -> Tensor:
        """Return the whole grids of views, int64 (b,), which must have one shape: float32 (b, h, w, C)."""
        height, width = self.grids[views[0]].tolist()
        rows = self.starts[views, None] + torch.arange(height * width)
        return self._at(rows).reshape(len(views), height, width, -1)

    def sample(self, photos: Tensor, points: Tensor) -> Tensor:
        """Return features at points, bilinear between patch centres.

        Args:
            photos: int64 (B,), indices.
            points: float32 (B, P, 2), x and y, -1 and 1 at the centres of the outermost patches (align_corners=True).

        Returns:
            float32 (B, P, C).
        """
        height, width = self.grids[photos, 0, None], self.grids[photos, 1, None]  # (B, 1)
        x = (points[..., 0] + 1) / 2 * (width - 1)  # (B, P)
        y = (points[..., 1] + 1) / 2 * (height - 1)
        left = torch.minimum(x.long().clamp(min=0), width - 1)
        top = torch.minimum(y.long().clamp(min=0), height - 1)
        right, bottom = torch.minimum(left + 1, width - 1), torch.minimum(top + 1, height - 1)
        across, down = (x - left)[..., None], (y - top)[..., None]
        start = self.starts[photos, None]
        upper = torch.lerp(self._at(start + top * width + left), self._at(start + top * width + right), across)
        lower = torch.lerp(self._at(start + bottom * width + left), self._at(start + bottom * width + right), across)
        return torch.lerp(upper, lower, down)

    def _at(self, rows: Tensor) -> Tensor:
        return self.tokens[rows].float()

    def random_tokens(self, count: int, generator: torch.Generator) -> Tensor:
        """Return all patch features if there are at most `count`, else `count` drawn at random, float32 (n, C)."""
        view, patch = drawn_patches(self.grids, count, generator)
        return self._at(self.starts[view] + patch)


def drawn_patches(grids: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `count` patches, or take all if there are fewer: each one's view and index in it, both int64 (n,)."""
    ends = grids.prod(1).cumsum(0)
    total = int(ends[-1])
    drawn = torch.arange(total) if total <= count else torch.randint(total, (count,), generator=generator)
    view = torch.searchsorted(ends, drawn, right=True)
    before = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    return view, drawn - before[view]
