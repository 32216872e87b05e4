"""Backbone features, computed once and kept: the backbone is frozen, so no step needs to run it again.

All photographs' patch grids lie one after another in one (T, C) float16 array, each with its own height and width, in
memory or, when it would be too large, in a memory-mapped file. Training reads single points out of it.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import NoInputError, OutputError, PhotoError
from stego_cli.images.atomic import shown
from stego_cli.images.decode import Rgb, decode, photo_size, work_size
from stego_cli.images.streams import by_shape, map_ahead
from stego_cli.machine import cores
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Progress
from stego_cli.stop import Stop

_AHEAD = 32  # photographs decoded before they are needed, and at most waiting for others of their shape


@dataclass
class FeatureCache:
    """Features of N photographs.

    Attributes:
        tokens: (T, C) float16, on the CPU.
        starts: (N,) int64, each photograph's first row.
        grids: (N, 2) int64, its height and width in patches.
        pooled: (N, C) float32, its mean feature.
        paths: its path.
        failed: photographs that could not be decoded: path and reason.
    """

    tokens: Tensor
    starts: Tensor
    grids: Tensor
    pooled: Tensor
    paths: list[Path]
    failed: list[tuple[Path, str]]

    def __len__(self) -> int:
        return len(self.paths)

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
        ends = self.grids.prod(1).cumsum(0)
        total = int(ends[-1])
        drawn = torch.arange(total) if total <= count else torch.randint(total, (count,), generator=generator)
        photo = torch.searchsorted(ends, drawn, right=True)
        before = torch.cat([torch.zeros(1, dtype=torch.int64), ends[:-1]])
        return self._at(self.starts[photo] + drawn - before[photo])


def compute_features(
    backbone: FrozenViT,
    paths: list[Path],
    res: int,
    device: torch.device,
    progress: Progress,
    stop: Stop,
    memory_limit: int,
    scratch: Path,
    batch: int = 8,
) -> FeatureCache:
    """Run the backbone over photographs, once.

    Args:
        backbone: moved to `device` by this function.
        paths: photographs.
        res: shorter side, pixels.
        device: where the backbone runs.
        progress: shown a stage.
        stop: asked between batches.
        memory_limit: bytes; features beyond this go to a file in `scratch` that vanishes with the process.
        scratch: folder for that file.
        batch: photographs of one shape run together.

    Raises:
        NoInputError: no photograph could be decoded.
        OutputError: the file does not fit on the disk.
        Stopped: the user asked for it.
    """
    patch, width = backbone.row.patch, backbone.row.width
    backbone.to(device)
    failed: list[tuple[Path, str]] = []
    usable: list[Path] = []
    grids: list[tuple[int, int]] = []
    with ThreadPoolExecutor(cores()) as pool:
        for path, size in zip(paths, pool.map(_size_or_reason, paths), strict=True):
            if isinstance(size, str):
                failed.append((path, size))
            else:
                columns, rows = work_size(*size, res, patch)
                usable.append(path)
                grids.append((rows // patch, columns // patch))
        starts = list(itertools.accumulate((rows * columns for rows, columns in grids), initial=0))
        tokens = allocate(starts[-1], width, memory_limit, scratch, progress)
        pooled = torch.zeros(len(usable), width)
        good = torch.zeros(len(usable), dtype=torch.bool)

        def work(index: int) -> tuple[int, Rgb | str]:
            return index, _pixels_or_reason(usable[index], res, patch, grids[index])

        decoded = map_ahead(pool, work, range(len(usable)), _AHEAD)
        with progress.stage("Computing features", len(usable), unit="photographs") as stage:
            for group in by_shape(decoded, _shape, lambda: batch, _AHEAD):
                stop.check()
                stage.advance(len(group))
                images = [(index, pixels) for index, pixels in group if not isinstance(pixels, str)]
                failed += [(usable[index], pixels) for index, pixels in group if isinstance(pixels, str)]
                if not images:
                    continue
                with torch.inference_mode():
                    stacked = torch.from_numpy(np.stack([pixels for _, pixels in images])).to(device)
                    features = backbone(stacked).flatten(1, 2)  # (b, h * w, C)
                    means = features.float().mean(1).cpu()
                    half = features.half().cpu()
                for (index, _), values, mean in zip(images, half, means, strict=True):
                    tokens[starts[index] : starts[index + 1]] = values
                    pooled[index] = mean
                    good[index] = True
    kept = good.nonzero().flatten()
    if len(kept) == 0:
        path, reason = failed[0]
        raise NoInputError(f"None of the {len(paths)} photographs can be decoded; {shown(path)}: {reason}.")
    return FeatureCache(
        tokens=tokens,
        starts=torch.tensor(starts[:-1])[kept],
        grids=torch.tensor(grids)[kept],
        pooled=pooled[kept],
        paths=[usable[int(index)] for index in kept],
        failed=failed,
    )


def _size_or_reason(path: Path) -> tuple[int, int] | str:
    try:
        return photo_size(path)
    except PhotoError as error:
        return error.message


def _pixels_or_reason(path: Path, res: int, patch: int, grid: tuple[int, int]) -> Rgb | str:
    try:
        pixels = decode(path, res, patch).pixels
    except PhotoError as error:
        return error.message
    return pixels if pixels.shape[:2] == (grid[0] * patch, grid[1] * patch) else "it changed while it was read"


def _shape(item: tuple[int, Rgb | str]) -> tuple[int, ...] | None:
    return None if isinstance(item[1], str) else item[1].shape


def allocate(rows: int, width: int, limit: int, scratch: Path, progress: Progress) -> Tensor:
    """Return float16 (rows, width), in memory up to `limit` bytes, else in a file in `scratch` that is gone at the end.

    Raises:
        OutputError: the file does not fit on the disk.
    """
    size = rows * width * 2
    if size <= limit:
        return torch.zeros(rows, width, dtype=torch.float16)
    progress.note(f"Features take {size / 1e9:.1f} GB: kept in a memory-mapped file in {shown(scratch)}.")
    try:
        with tempfile.NamedTemporaryFile(dir=scratch, prefix=".stego-features-", suffix=".tmp") as file:
            # Space is claimed now: a page that the disk cannot hold later would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            # The name is gone when the block ends; the pages live as long as the mapping.
            return torch.from_numpy(np.memmap(file.name, dtype=np.float16, mode="r+", shape=(rows, width)))
    except OSError as error:
        raise OutputError(
            f"The features' {size / 1e9:.1f} GB do not fit in {scratch}: {error.strerror or error}.",
            "Use fewer photographs or a smaller --res.",
        ) from error
