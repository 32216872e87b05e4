"""Reading points out of the cache."""

from pathlib import Path

import torch
import torch.nn.functional as F

from stego_cli.training.features import FeatureCache


def test_sampling_is_bilinear_as_grid_sample_has_it() -> None:
    generator = torch.Generator().manual_seed(0)
    grids = [(5, 7), (1, 4), (6, 1)]
    maps = [torch.randn(h, w, 3, generator=generator).half() for h, w in grids]
    cache = FeatureCache(
        tokens=torch.cat([each.flatten(0, 1) for each in maps]),
        starts=torch.tensor([0, 35, 39]),
        grids=torch.tensor(grids),
        pooled=torch.zeros(3, 3),
        paths=[Path(name) for name in "abc"],
        failed=[],
    )
    points = torch.rand(4, 50, 2, generator=generator) * 2 - 1
    points[0, 0], points[1, 0] = torch.tensor([1.0, 1.0]), torch.tensor([-1.0, -1.0])
    photos = torch.tensor([0, 1, 2, 0])
    sampled = cache.sample(photos, points)
    for row, photo in enumerate(photos.tolist()):
        wanted = F.grid_sample(
            maps[photo].float().permute(2, 0, 1)[None],
            points[row][None, None],
            padding_mode="border",
            align_corners=True,
        )
        assert torch.allclose(sampled[row], wanted[0, :, 0].T, atol=1e-5)
