"""Features that no disk holds: the backbone runs again over the views of each step, while others are decoded.

One pass at the beginning finds what must be known of all: each view's mean feature, for the neighbours, and a random
sample of patch features, for whitening and clustering.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stego_cli.images.decode import Rgb
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.text import shown
from stego_cli.training.features import (
    FeatureCache,
    Features,
    compute_features,
    described,
    drawn_patches,
    share_between,
)
from stego_cli.training.ranks import Ranks
from stego_cli.training.stream import Computed, Survey, compute, stream, survey
from stego_cli.training.views import Cut, View, cut_of, pixels_of

_KEPT = 100_000  # patch features of the random sample
_PREFETCHED = 2  # steps that each decoding process is ahead


@dataclass
class LiveFeatures(Features):
    """Features that are computed when they are asked for.

    Attributes:
        views: what is to be decoded for each.
        sample: float32 (n, C), patch features drawn at random from all views.
    """

    backbone: FrozenViT
    cut: Cut
    device: torch.device
    stop: Stop
    ranks: Ranks
    views: list[View]
    sample: Tensor

    def random_tokens(self, count: int, generator: torch.Generator) -> Tensor:
        """Return at most `count` patch features of the sample, float32 (n, C)."""
        if len(self.sample) <= count:
            return self.sample
        return self.sample[torch.randperm(len(self.sample), generator=generator)[:count]]

    def grid(self, view: int) -> Tensor:
        """Return all features of a view, float32 (h, w, C)."""
        pixels = pixels_of([self.views[view]], self.cut)
        done = compute(self.backbone, [(view, pixels if isinstance(pixels, str) else pixels[0])], self.device)
        return self._cache(done).grid(0)

    def groups(self) -> Iterator[tuple[Tensor, FeatureCache]]:
        """Yield all views a few at a time: their indices, int64 (b,), and their features."""
        with ThreadPoolExecutor(cores()) as pool:
            wanted = list(range(len(self)))
            for group in stream(self.backbone, self.views, wanted, self.cut, self.device, self.stop, pool):
                group.sort(key=lambda done: done.index)
                for done in group:  # one at a time: neighbours in a group need not be neighbours in order
                    yield torch.tensor([done.index]), self._cache([done])

    def follow(self, plan: Callable[[int], Tensor], steps: range) -> Iterator[tuple[FeatureCache, Tensor]]:
        """Yield, for each step, its views' features and the row among them of each view that `plan` says it needs.

        Processes share a step's views between them, and each gets all.
        """

        def mine() -> Iterator[list[int]]:
            for step in steps:
                needed = torch.unique(plan(step))
                yield needed[self.ranks.rows(len(needed))].tolist()

        # Spawned, since a fork would copy the locks that other threads hold.
        loader = DataLoader(
            _Pixels(self.views, self.cut),
            batch_sampler=mine(),
            collate_fn=list,
            num_workers=cores(),
            prefetch_factor=_PREFETCHED,
            multiprocessing_context="spawn",
            worker_init_fn=_leave_interrupts,
        )
        for step, decoded in zip(steps, loader, strict=True):
            needed = torch.unique(plan(step))
            cache = self._cache(self._computed(decoded))
            cache = self._joined(cache, needed) if self.ranks.count > 1 else cache
            yield cache, torch.searchsorted(needed, plan(step))

    def _computed(self, decoded: list[tuple[int, Rgb | str]]) -> list[Computed]:
        by_grid: dict[tuple[int, ...], list[tuple[int, Rgb | str]]] = {}
        for index, pixels in decoded:
            shape = () if isinstance(pixels, str) else pixels.shape
            by_grid.setdefault(shape, []).append((index, pixels))
        done = [each for group in by_grid.values() for each in compute(self.backbone, group, self.device)]
        return sorted(done, key=lambda each: each.index)

    def _cache(self, done: list[Computed]) -> FeatureCache:
        """Return a small cache of these views. One that has become unreadable since the first pass is its mean."""
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
            **self.said_of(indices),
        )

    def _joined(self, own: FeatureCache, needed: Tensor) -> FeatureCache:
        """Return the cache of all processes' views, from each one's own."""
        whole = self._cache([Computed(int(index)) for index in needed])
        sizes = whole.grids.prod(1)
        mine = self.ranks.rows(len(needed))
        first = int(sizes[: mine.start].sum())
        whole.tokens = torch.zeros_like(whole.tokens)
        whole.tokens[first : first + len(own.tokens)] = own.tokens
        whole.tokens = self.ranks.sum(whole.tokens.to(self.device)).cpu()
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


def _leave_interrupts(worker: int) -> None:
    """Let the main process alone answer Ctrl-C, which a terminal sends to all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def live_features(
    backbone: FrozenViT, found: Survey, cut: Cut, device: torch.device, progress: Progress, stop: Stop, ranks: Ranks
) -> LiveFeatures:
    """Look at all views once and return their features as something to compute again.

    Raises:
        NoInputError: no photograph could be decoded.
        Stopped: the user asked for it.
    """
    backbone.to(device)
    total, width = len(found.views), backbone.row.width
    pooled, good, failed = torch.zeros(total, width), torch.zeros(total), list(found.failed)
    grids = torch.tensor(found.grids).reshape(-1, 2)
    view, patch = drawn_patches(grids, _KEPT, torch.Generator().manual_seed(0)) if total else (grids[:, 0], grids[:, 0])
    order = view.argsort(stable=True)
    view, patch = view[order], patch[order]
    sample = torch.zeros(len(view), width)
    mine = list(range(total))[ranks.rows(total)]
    with (
        ThreadPoolExecutor(cores()) as pool,
        progress.stage("Looking at all photographs", len(mine), unit="photographs") as stage,
    ):
        for group in stream(backbone, found.views, mine, cut, device, stop, pool):
            stage.advance(len(group))
            for done in group:
                if done.features is None or done.mean is None:
                    failed.append((found.views[done.index].path, done.reason))
                    continue
                first, last = torch.searchsorted(view, torch.tensor([done.index, done.index + 1])).tolist()
                sample[first:last] = done.features[patch[first:last]].float()
                pooled[done.index], good[done.index] = done.mean, 1
    share_between(ranks, device, pooled, good, sample)
    about = described(found, good, failed, cut, ranks)
    kept = good.nonzero().flatten()
    return LiveFeatures(
        backbone,
        cut,
        device,
        stop,
        ranks,
        [found.views[int(index)] for index in kept],
        sample=sample[good[view] > 0],
        grids=grids[kept],
        pooled=pooled[kept],
        paths=[about["paths"][int(index)] for index in kept],
        failed=about["failed"],
        photos=about["photos"][kept],
        shares=about["shares"][kept],
    )


def prepare_features(
    backbone: FrozenViT,
    paths: list[Path],
    settings: TrainSettings,
    run: Path,
    device: torch.device,
    progress: Progress,
    stop: Stop,
    ranks: Ranks,
) -> Features:
    """Compute and keep the photographs' features, or, beyond `max_cache_gb`, get ready to compute them as needed.

    Says how large they are before it begins.

    Raises:
        NoInputError: no photograph could be decoded.
        OutputError: they do not fit on the disk.
        Stopped: the user asked for it.
    """
    cut = cut_of(settings, backbone.row.patch)
    found = survey(paths, cut)
    size, memory = found.bytes(backbone.row.width), settings.cache_memory_mb * 1_000_000
    views = f"{len(found.views)} {'photographs' if settings.crops == 'none' else 'crops'}"
    if size > settings.max_cache_gb * 1e9:
        progress.note(
            f"Features of {views} would take {size / 1e9:.2f} GB, more than --max-cache {settings.max_cache_gb:g} GB: "
            "they are computed anew at every step, which is slower."
        )
        return live_features(backbone, found, cut, device, progress, stop, ranks)
    place = "in memory" if size <= memory and ranks.count == 1 else f"in a file in {shown(run)}"
    progress.note(f"Features of {views} take {size / 1e6:.0f} MB, kept {place}.")
    return compute_features(backbone, found, cut, device, progress, stop, memory, run, ranks=ranks)
