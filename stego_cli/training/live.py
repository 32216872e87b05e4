"""Features that are too large to keep: the backbone runs again over the views of each step.

One pass at the beginning collects what training needs of all views: each view's mean feature, for the neighbours, and
a random sample of patch features, for whitening and clustering.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stego_cli.images.decode import Rgb
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.training.cached import sum_over_ranks, view_attributes
from stego_cli.training.context import RunContext
from stego_cli.training.features import FeatureCache, Features, drawn_patches
from stego_cli.training.stream import Computed, compute, stream
from stego_cli.training.views import Cut, Survey, View, pixels_of

_KEPT = 100_000  # patch features of the random sample
_PREFETCHED = 2  # steps that each decoding process works ahead


@dataclass
class LiveFeatures(Features):
    """Features that are computed on demand.

    Attributes:
        backbone: on the context's device.
        cut: how photographs become views.
        views: all N views.
        sample: float32 (n, C), patch features drawn at random from all views.
        context: where the backbone runs, and the processes that share a step's views.
    """

    backbone: FrozenViT
    cut: Cut
    views: list[View]
    sample: Tensor
    context: RunContext

    def random_tokens(self, count: int, generator: torch.Generator) -> Tensor:
        """Return at most `count` patch features of the sample, float32 (n, C)."""
        if len(self.sample) <= count:
            return self.sample
        return self.sample[torch.randperm(len(self.sample), generator=generator)[:count]]

    def grid(self, view: int) -> Tensor:
        """Return all features of a view, float32 (h, w, C)."""
        pixels = pixels_of([self.views[view]], self.cut)
        decoded = [(view, pixels if isinstance(pixels, str) else pixels[0])]
        return self._cache(compute(self.backbone, decoded, self.context.device)).grid(0)

    def groups(self) -> Iterator[tuple[Tensor, FeatureCache]]:
        """Yield all views a few at a time: their indices, int64 (b,), and their features."""
        for group in stream(self.backbone, self.views, list(range(len(self))), self.cut, self.context):
            group.sort(key=lambda done: done.index)
            for done in group:  # one at a time: the indices of a group need not follow each other
                yield torch.tensor([done.index]), self._cache([done])

    def follow(self, plan: Callable[[int], Tensor], steps: range) -> Iterator[tuple[FeatureCache, Tensor]]:
        """Yield, for each step, a cache and the rows in it, int64 (b,), of the views that `plan(step)` lists.

        The processes divide a step's views among them, and each receives all.
        """
        ranks = self.context.ranks

        def mine() -> Iterator[list[int]]:
            for step in steps:
                needed = torch.unique(plan(step))
                yield needed[ranks.rows(len(needed))].tolist()

        # Spawned: a forked process would have copies of the locks that other threads hold.
        loader = DataLoader(
            _Pixels(self.views, self.cut),
            batch_sampler=mine(),
            collate_fn=list,
            num_workers=cores(),
            prefetch_factor=_PREFETCHED,
            multiprocessing_context="spawn",
            worker_init_fn=_ignore_interrupts,
        )
        for step, decoded in zip(steps, loader, strict=True):
            needed = torch.unique(plan(step))
            cache = self._cache(self._computed(decoded))
            cache = self._joined(cache, needed) if ranks.count > 1 else cache
            yield cache, torch.searchsorted(needed, plan(step))

    def _computed(self, decoded: list[tuple[int, Rgb | str]]) -> list[Computed]:
        by_grid: dict[tuple[int, ...], list[tuple[int, Rgb | str]]] = {}
        for index, pixels in decoded:
            shape = () if isinstance(pixels, str) else pixels.shape
            by_grid.setdefault(shape, []).append((index, pixels))
        done = [each for group in by_grid.values() for each in compute(self.backbone, group, self.context.device)]
        return sorted(done, key=lambda each: each.index)

    def _cache(self, done: list[Computed]) -> FeatureCache:
        """Return a small cache of these views; one that has become unreadable has its mean feature everywhere."""
        indices = torch.tensor([each.index for each in done], dtype=torch.int64)
        sizes = self.grids[indices].prod(1)
        blocks = [
            self.pooled[each.index].half().expand(size, -1) if each.features is None else each.features
            for each, size in zip(done, sizes.tolist(), strict=True)
        ]
        return FeatureCache(
            tokens=torch.cat(blocks) if blocks else torch.zeros(0, self.width, dtype=torch.float16),
            starts=sizes.cumsum(0) - sizes,
            failed=[],
            **self.attributes_of(indices),
        )

    def _joined(self, own: FeatureCache, needed: Tensor) -> FeatureCache:
        """Return the cache of all processes' views, from each process's own."""
        ranks = self.context.ranks
        whole = self._cache([Computed(int(index)) for index in needed])
        sizes = whole.grids.prod(1)
        mine = ranks.rows(len(needed))
        first = int(sizes[: mine.start].sum())
        whole.tokens = torch.zeros_like(whole.tokens)
        whole.tokens[first : first + len(own.tokens)] = own.tokens
        whole.tokens = ranks.sum(whole.tokens.to(self.context.device)).cpu()
        return whole


class _Pixels(Dataset[tuple[int, "Rgb | str"]]):
    """Views by number, decoded by the loader's processes."""

    def __init__(self, views: list[View], cut: Cut) -> None:
        self._views, self._cut = views, cut

    def __len__(self) -> int:
        return len(self._views)

    def __getitem__(self, index: int) -> tuple[int, Rgb | str]:
        pixels = pixels_of([self._views[index]], self._cut)
        return index, pixels if isinstance(pixels, str) else pixels[0]


def _ignore_interrupts(worker: int) -> None:
    """Ignore Ctrl-C, which a terminal sends to all processes: the main process handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def live_features(backbone: FrozenViT, found: Survey, context: RunContext) -> LiveFeatures:
    """Compute the features of all views once and return them in a form that computes them again on demand.

    Args:
        backbone: moved to the context's device by this function.
        found: the photographs' headers, and how they become views.
        context: shows a stage. Several processes share the work.

    Raises:
        NoInputError: no photograph could be decoded.
        Stopped: a signal arrived.
    """
    backbone.to(context.device)
    total, width = len(found.views), backbone.row.width
    pooled, good, failed = torch.zeros(total, width), torch.zeros(total), list(found.failed)
    grids = torch.tensor(found.grids).reshape(-1, 2)
    view, patch = drawn_patches(grids, _KEPT, torch.Generator().manual_seed(0)) if total else (grids[:, 0], grids[:, 0])
    order = view.argsort(stable=True)
    view, patch = view[order], patch[order]
    sample = torch.zeros(len(view), width)
    mine = list(range(total))[context.ranks.rows(total)]
    with context.progress.stage("Looking at all photographs", len(mine), unit="photographs") as stage:
        for group in stream(backbone, found.views, mine, found.cut, context):
            stage.advance(len(group))
            for done in group:
                if done.features is None or done.mean is None:
                    failed.append((found.views[done.index].path, done.reason))
                    continue
                first, last = torch.searchsorted(view, torch.tensor([done.index, done.index + 1])).tolist()
                sample[first:last] = done.features[patch[first:last]].float()
                pooled[done.index], good[done.index] = done.mean, 1
    sum_over_ranks(context, pooled, good, sample)
    attributes = view_attributes(found, good, failed, context.ranks)
    kept = good.nonzero().flatten()
    return LiveFeatures(
        backbone,
        found.cut,
        [found.views[int(index)] for index in kept],
        sample[good[view] > 0],
        context,
        grids=grids[kept],
        pooled=pooled[kept],
        paths=[attributes["paths"][int(index)] for index in kept],
        failed=attributes["failed"],
        photos=attributes["photos"][kept],
        shares=attributes["shares"][kept],
    )
