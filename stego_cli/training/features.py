"""Backbone features, computed once and kept: the backbone is frozen, so no step needs to run it again.

All views' patch grids lie one after another in one (T, C) float16 array, each with its own height and width, in memory
or, when it would be too large, in a memory-mapped file. Training reads single points out of it. A view is a photograph,
or a crop of one (`views.py`). What does not fit at all is computed anew whenever it is needed (`live.py`).
"""

from __future__ import annotations

import itertools
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import NoInputError, OutputError
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress
from stego_cli.stop import Stop
from stego_cli.text import shown
from stego_cli.training.ranks import ALONE, Ranks
from stego_cli.training.stream import Survey, stream
from stego_cli.training.views import Cut

_GROUP = 64  # views that are looked at together when all are


@dataclass(kw_only=True)
class Features(ABC):
    """What training needs of the features of N views, wherever they come from.

    Attributes:
        grids: (N, 2) int64, each view's height and width in patches.
        pooled: (N, C) float32, its mean feature.
        paths: its photograph's path.
        failed: photographs that could not be decoded: path and reason.
        photos: (N,) int64, its photograph's number; by default each view is a photograph.
        shares: (N, 4) float32, the part of the photograph that it shows: left, top, right, bottom, 0 to 1.
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
        """Features of a patch, C."""
        return self.pooled.shape[1]

    def said_of(self, views: Tensor) -> dict[str, Any]:
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
        """Yield, for each step, a cache and the row in it of each view that `plan` says the step needs, int64 (b,)."""


@dataclass(kw_only=True)
class FeatureCache(Features):
    """Features that are kept.

    Attributes:
        tokens: (T, C) float16, on the CPU.
        starts: (N,) int64, each view's first row.
    """

    tokens: Tensor
    starts: Tensor

    def only(self, kept: Tensor) -> FeatureCache:
        """Return the cache with those views alone, int64 (n,); the tokens are shared."""
        return replace(self, starts=self.starts[kept], **self.said_of(kept))

    def groups(self) -> Iterator[tuple[Tensor, FeatureCache]]:
        """Yield all views a few at a time: their indices, int64 (b,), and their features."""
        for start in range(0, len(self), _GROUP):
            indices = torch.arange(start, min(start + _GROUP, len(self)))
            yield indices, self.only(indices)

    def follow(self, plan: Callable[[int], Tensor], steps: range) -> Iterator[tuple[FeatureCache, Tensor]]:
        """Yield, for each step, a cache and the row in it of each view that `plan` says the step needs, int64 (b,)."""
        for step in steps:
            yield self, plan(step)

    def grid(self, view: int) -> Tensor:
        """Return all features of a view, float32 (h, w, C)."""
        return self.maps(torch.tensor([view]))[0]

    def maps(self, views: Tensor) -> Tensor:
        """Return the whole grids of views (b,), which must be of one shape, float32 (b, h, w, C)."""
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
    """Draw `count` patches, or take all if there are no more: each one's view and place in it, both int64 (n,)."""
    ends = grids.prod(1).cumsum(0)
    total = int(ends[-1])
    drawn = torch.arange(total) if total <= count else torch.randint(total, (count,), generator=generator)
    view = torch.searchsorted(ends, drawn, right=True)
    before = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
    return view, drawn - before[view]


def compute_features(
    backbone: FrozenViT,
    found: Survey,
    cut: Cut,
    device: torch.device,
    progress: Progress,
    stop: Stop,
    memory_limit: int,
    scratch: Path,
    batch: int = 8,
    ranks: Ranks = ALONE,
) -> FeatureCache:
    """Run the backbone over photographs, once.

    Args:
        backbone: moved to `device` by this function.
        found: what the photographs' headers say.
        cut: how photographs become views.
        device: where the backbone runs.
        progress: shown a stage.
        stop: asked between batches.
        memory_limit: bytes; features beyond this go to a file in `scratch` that vanishes with the process.
        scratch: folder for that file.
        batch: views of one shape run together.
        ranks: processes that share the work and, in a file in `scratch`, its result.

    Raises:
        NoInputError: no photograph could be decoded.
        OutputError: the file does not fit on the disk.
        Stopped: the user asked for it.
    """
    backbone.to(device)
    total, width, failed = len(found.views), backbone.row.width, list(found.failed)
    starts = list(itertools.accumulate((rows * columns for rows, columns in found.grids), initial=0))
    tokens = allocate(starts[-1], width, memory_limit, scratch, ranks)
    pooled, good = torch.zeros(total, width), torch.zeros(total)
    mine = list(range(total))[ranks.rows(total)]
    with (
        ThreadPoolExecutor(cores()) as pool,
        progress.stage("Computing features", len(mine), unit="photographs") as stage,
    ):
        for group in stream(backbone, found.views, mine, cut, device, stop, pool, batch):
            stage.advance(len(group))
            for done in group:
                if done.features is None or done.mean is None:
                    failed.append((found.views[done.index].path, done.reason))
                    continue
                tokens[starts[done.index] : starts[done.index + 1]] = done.features
                pooled[done.index], good[done.index] = done.mean, 1
    share_between(ranks, device, pooled, good)
    return FeatureCache(
        tokens=tokens,
        starts=torch.tensor(starts[:-1], dtype=torch.int64),
        grids=torch.tensor(found.grids),
        pooled=pooled,
        **described(found, good, failed, cut, ranks),
    ).only(good.nonzero().flatten())


def share_between(ranks: Ranks, device: torch.device, *tensors: Tensor) -> None:
    """Put into each tensor the sum of all processes' tensors of that place."""
    for tensor in tensors:
        if ranks.count > 1:
            tensor.copy_(ranks.sum(tensor.to(device)))


def described(found: Survey, good: Tensor, failed: list[tuple[Path, str]], cut: Cut, ranks: Ranks) -> dict[str, Any]:
    """Return what a cache says of its views besides their features.

    Raises:
        NoInputError: no photograph could be decoded.
    """
    everywhere = [tuple(each) for part in ranks.gather(failed) for each in part]  # type: ignore[attr-defined]
    failed = list(dict.fromkeys(everywhere))  # a photograph fails once, whatever the number of its crops
    if not bool(good.any()):
        path, reason = failed[0]
        raise NoInputError(
            f"None of the {len({path for path, _ in failed})} photographs can be decoded; {shown(path)}: {reason}."
        )
    return {
        "paths": [view.path for view in found.views],
        "failed": failed,
        "photos": torch.tensor([view.photo for view in found.views]),
        "shares": torch.tensor([cut.shares(view.box, view.size) for view in found.views]),
    }


def allocate(rows: int, width: int, limit: int, scratch: Path, ranks: Ranks = ALONE) -> Tensor:
    """Return float16 (rows, width), in memory up to `limit` bytes, else in a file in `scratch` that is gone at the end.

    Several processes always share a file.

    Raises:
        OutputError: the file does not fit on the disk.
    """
    size = rows * width * 2
    if (size <= limit and ranks.count == 1) or not size:
        return torch.zeros(rows, width, dtype=torch.float16)
    name: list[object] = [None]
    try:
        if ranks.first:
            with tempfile.NamedTemporaryFile(
                dir=scratch, prefix=".stego-features-", suffix=".tmp", delete=False
            ) as file:
                name = [file.name]
                # Space is claimed now: a page that the disk cannot hold later would kill the process.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
        shared = Path(str(ranks.gather(name[0])[0]))
        tokens = torch.from_numpy(np.memmap(shared, dtype=np.float16, mode="r+", shape=(rows, width)))
        ranks.wait()
        return tokens
    except OSError as error:
        raise OutputError(
            f"The features' {size / 1e9:.1f} GB do not fit in {scratch}: {error.strerror or error}.",
            "Give a smaller --max-cache, fewer photographs or a smaller --res.",
        ) from error
    finally:
        if ranks.first and name[0] is not None:  # the pages live as long as the mapping
            Path(str(name[0])).unlink(missing_ok=True)
