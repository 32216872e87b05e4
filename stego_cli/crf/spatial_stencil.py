"""The spatial kernel of the CRF for photographs of one size, multiplied out: a few weights for each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from stego_cli.crf.lattice import build_lattice, spatial_features
from stego_cli.crf.torch_engine import NORM_FLOOR, filtered


@dataclass(frozen=True)
class Stencil:
    """The spatial kernel of one size, normalisation and compatibility included: for each pixel, weights of those near.

    On the lattice a pixel reaches others through a corner of its simplex, one step of each of three blurs, and a corner
    of theirs. The lattice's edges are one deviation long, so that is less than four deviations.
    """

    shifts: Tensor  # int32 (N): distances in the flattened photograph
    weights: Tensor  # float32 (N, P); 0 for pixels outside the photograph


@lru_cache(maxsize=8)  # sizes times GPUs; at the usual deviation of 1 it holds 164 bytes a pixel of its GPU's memory
def spatial_stencil(height: int, width: int, sxy: float, compat: float, device: torch.device) -> Stencil:
    """Return the stencil of the spatial kernel, which is kept for the sizes used last.

    Filtering a comb of single pixels, too far from each other to reach the same one, gives a weight of each pixel. The
    combs of all phases give all.
    """
    lattice = build_lattice(spatial_features(height, width, sxy, device))
    norm = torch.rsqrt(filtered(lattice, lattice.weights.new_ones(height * width, 1)) + NORM_FLOOR).view(height, width)
    reach = math.ceil(4 * sxy) - 1
    teeth = 2 * reach + 1
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    phase = (y % teeth * teeth + x % teeth).flatten()
    # What each pixel gets of each phase's comb, (teeth^2, P), some phases at a time.
    parts = torch.split(torch.arange(teeth * teeth, device=device), 16)
    answers = torch.cat([filtered(lattice, (phase[:, None] == part).float()).T for part in parts])
    shifts, weights = [], []
    for down in range(-reach, reach + 1):
        for right in range(-reach, reach + 1):
            there_y, there_x = y + down, x + right
            inside = (there_y >= 0) & (there_y < height) & (there_x >= 0) & (there_x < width)
            comb = (there_y % teeth * teeth + there_x % teeth).flatten()
            both_norms = norm * norm.roll((-down, -right), (0, 1)) * inside
            shifts.append(down * width + right)
            weights.append(answers.gather(0, comb[None])[0] * both_norms.flatten() * compat)
    every = torch.stack(weights)
    used = every.any(1)
    return Stencil(torch.tensor(shifts, dtype=torch.int32, device=device)[used], every[used])
