"""Nearest neighbours of photographs, or of crops: the positive pairs of a batch.

The search is exact and its memory is bounded: similarities are computed in square blocks, and each block is used for
its rows and, transposed, for its columns. Within a block the candidates are found by the maxima of short runs: the k
largest values of a row lie in the k runs with the largest maxima. A top-k over all values would take longer than the
matrix products.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 8192  # views a side of a block: 268 MB of similarities
_RUN = 32  # values of a run


def nearest_neighbours(
    pooled: Tensor,
    count: int,
    photos: Tensor | None = None,
    device: torch.device | str = "cpu",
    block: int = _BLOCK,
    run: int = _RUN,
) -> Tensor:
    """Return the `count` nearest others of each view, by cosine of their mean features.

    Args:
        pooled: (N, C), mean features.
        count: neighbours wanted; there may be fewer.
        photos: int64 (N,), ascending, the photograph that each view is a crop of: views of one photograph are not
            neighbours unless there is no other photograph. None: each view is a photograph.
        device: where it is computed.
        block: views a side of a block of similarities; it and `run` change time and memory alone.
        run: similarities of which the largest is looked at first.

    Returns:
        int64 (N, k), nearest first; k is `count`, or less if some view has fewer candidates. A single view is its own
        neighbour, (1, 1). A view is excluded by its index, not by its rank, so that exact copies of it stay its
        neighbours.
    """
    total = len(pooled)
    if total == 1:
        return torch.zeros(1, 1, dtype=torch.int64)
    photos = torch.arange(total) if photos is None else photos
    most = int(torch.unique_consecutive(photos, return_counts=True)[1].max())
    if most == total:  # one photograph: its crops are neighbours of each other
        photos, most = torch.arange(total), 1
    photos = photos.to(device)
    unit = F.normalize(pooled.float().to(device), dim=1)
    best = torch.full((total, min(count, total - most)), -torch.inf, device=device)
    found = torch.zeros(best.shape, dtype=torch.int64, device=device)
    starts = range(0, total, block)
    for first in starts:
        rows = slice(first, min(first + block, total))
        for second in starts[first // block :]:
            columns = slice(second, min(second + block, total))
            similarity = unit[rows] @ unit[columns].T
            if photos[rows][-1] >= photos[columns][0]:
                similarity.masked_fill_(photos[rows, None] == photos[None, columns], -torch.inf)
            _merge(best[rows], found[rows], similarity, second, run)
            if second != first:
                _merge(best[columns], found[columns], similarity.T, first, run)
    return found.cpu()


def _merge(best: Tensor, found: Tensor, similarity: Tensor, offset: int, run: int) -> None:
    """Merge a block into the k largest similarities so far, in place.

    Args:
        best: (n, k), the largest similarities of n views.
        found: int64 (n, k), the views that they belong to.
        similarity: (n, m), a block; column j is view `offset` + j.
        offset: of the block's first column.
        run: similarities of which the largest is looked at first.
    """
    count, width = best.shape[1], similarity.shape[1]
    short = -width % run
    if short:
        similarity = F.pad(similarity, (0, short), value=-torch.inf)
    # Both give the same maxima (n, runs); reading along the memory is ten times as fast for a transposed block.
    if similarity.stride(1) == 1:
        maxima = similarity.reshape(len(similarity), -1, run).amax(2)
    else:
        maxima = similarity.T.reshape(-1, run, len(similarity)).amax(1).T
    runs = maxima.topk(min(count, maxima.shape[1]), dim=1).indices
    columns = (runs[:, :, None] * run + torch.arange(run, device=runs.device)).flatten(1)  # (n, k * run)
    values = torch.cat([best, similarity.gather(1, columns)], dim=1)
    views = torch.cat([found, columns + offset], dim=1)
    top = values.topk(count, dim=1)
    best.copy_(top.values)
    found.copy_(views.gather(1, top.indices))
