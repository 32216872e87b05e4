"""Which directions of a backbone's features tell where in the picture a patch is, rather than what it shows.

A vision transformer adds a position embedding to each patch, and much of it is still in the features of a middle block:
a quarter of the variance over satellite pictures, where it tells nothing at all. Clusters of such features follow the
places in the picture. The directions are found without photographs: in pictures of one colour all patches show the
same, so whatever distinguishes their features is the place. That such directions do harm is the finding of "Denoising
Vision Transformers" (Yang et al., 2024); there, a network is trained to take them out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stego_cli.model.vit import FrozenViT

_COLOURS = ((0, 0, 0), (255, 255, 255), (128, 128, 128), (124, 116, 104), (200, 60, 60), (60, 120, 200))
_WEAKEST = 1e-4  # of the features' norm: weaker differences are errors of rounding


def position_directions(backbone: FrozenViT, grid: Sequence[int], count: int, device: torch.device) -> Tensor:
    """Return the directions in which the features of pictures of one colour differ most from patch to patch.

    Args:
        backbone: moved to `device` by this function.
        grid: height and width of the pictures, in patches.
        count: directions wanted; there are fewer if fewer make a difference, as in pictures of a few patches.
        device: where the backbone runs.

    Returns:
        (k, C) float32, orthonormal, the strongest first.
    """
    height, width = (side * backbone.row.patch for side in grid)
    backbone.to(device)
    colours = torch.tensor(_COLOURS, dtype=torch.uint8, device=device)
    with torch.inference_mode():
        # One at a time: the memory of a picture suffices.
        maps = [backbone(colour.expand(1, height, width, 3)).float().flatten(0, 2) for colour in colours]
    means = torch.stack(maps).mean(0)  # (h * w, C)
    _, strengths, directions = torch.linalg.svd((means - means.mean(0)).cpu(), full_matrices=False)
    strongest: Tensor = directions[:count][strengths[:count] > _WEAKEST * means.norm()]
    return strongest.contiguous()
