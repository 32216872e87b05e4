"""Features that are computed once and kept: in memory, or in a memory-mapped file if they are too large for it."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stego_cli.errors import NoInputError, OutputError, setting
from stego_cli.model.vit import FrozenViT
from stego_cli.text import shown
from stego_cli.training.context import RunContext
from stego_cli.training.features import FeatureCache
from stego_cli.training.ranks import Ranks
from stego_cli.training.stream import Computed, stream
from stego_cli.training.views import Survey


def compute_features(backbone: FrozenViT, found: Survey, memory_limit: int, context: RunContext) -> FeatureCache:
    """Run the backbone over photographs, once.

    Args:
        backbone: moved to the context's device by this function.
        found: the photographs' headers, and how they become views.
        memory_limit: bytes; larger features go to a file in the context's folder that disappears with the process.
        context: shows a stage. Several processes share the work and, through a file in the folder, its result.

    Raises:
        NoInputError: no photograph could be decoded.
        OutputError: the file does not fit on the disk.
        Stopped: a signal arrived.
    """
    backbone.to(context.device)
    total, width, failed = len(found.views), backbone.row.width, list(found.failed)
    starts = list(itertools.accumulate((rows * columns for rows, columns in found.grids), initial=0))
    tokens = _allocate(starts[-1], width, memory_limit, context.folder, context.ranks)
    pooled, good = torch.zeros(total, width), torch.zeros(total)
    mine = list(range(total))[context.ranks.rows(total)]
    with context.progress.stage("Computing features", len(mine), unit="photographs") as stage:
        for group in _groups(backbone, found, mine, context):
            stage.advance(len(group))
            for done in group:
                if done.features is None or done.mean is None:
                    failed.append((found.views[done.index].path, done.reason))
                    continue
                tokens[starts[done.index] : starts[done.index + 1]] = done.features
                pooled[done.index], good[done.index] = done.mean, 1
    sum_over_ranks(context, pooled, good)
    return FeatureCache(
        tokens=tokens,
        starts=torch.tensor(starts[:-1], dtype=torch.int64),
        grids=torch.tensor(found.grids),
        pooled=pooled,
        **view_attributes(found, good, failed, context.ranks),
    ).only(good.nonzero().flatten())


def _groups(backbone: FrozenViT, found: Survey, mine: list[int], context: RunContext) -> Iterator[list[Computed]]:
    if context.engine == "local":
        return stream(backbone, found.views, mine, found.cut, context)
    from stego_cli.training.features_elsewhere import stream_elsewhere

    return stream_elsewhere(backbone, found.views, found.cut, context)


def sum_over_ranks(context: RunContext, *tensors: Tensor) -> None:
    """Replace each tensor, in place, by the sum of all processes' tensors."""
    for tensor in tensors:
        if context.ranks.count > 1:
            tensor.copy_(context.ranks.sum(tensor.to(context.device)))


def view_attributes(found: Survey, good: Tensor, failed: list[tuple[Path, str]], ranks: Ranks) -> dict[str, Any]:
    """Return the attributes of `Features` that describe the views themselves: paths, failed, photos, shares.

    Args:
        found: all views.
        good: (N,), not 0 for the views that were decoded.
        failed: photographs that could not be decoded by this process.
        ranks: the processes, whose failures are joined.

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
        "shares": torch.tensor([found.cut.shares(view.box, view.size) for view in found.views]),
    }


def _allocate(rows: int, width: int, limit: int, scratch: Path, ranks: Ranks) -> Tensor:
    """Return float16 (rows, width): in memory up to `limit` bytes, else in a file in `scratch`.

    Several processes always share a file. It disappears with the last process.

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
                # The space is reserved now: a page that does not fit on the disk later would kill the process.
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
            f"The features' {size / 1e9:.1f} GB do not fit in {shown(scratch)}: {error.strerror or error}.",
            f"Give a smaller {setting('max_cache_gb')}, fewer photographs or a smaller {setting('res')}.",
        ) from error
    finally:
        if ranks.first and name[0] is not None:  # the data stay readable as long as they are mapped
            Path(str(name[0])).unlink(missing_ok=True)
