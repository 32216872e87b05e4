"""Features that are computed anew whenever they are needed, against those that are kept."""

from pathlib import Path

import pytest
import torch

from stego_cli.model.vit import FrozenViT
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.context import RunContext
from stego_cli.training.extraction import prepare_features
from stego_cli.training.features import FeatureCache
from stego_cli.training.live import LiveFeatures
from stego_cli.training.stream import autocast
from stego_cli.training.views import Cut, survey
from tests.support.recorder import Recorder

CPU = torch.device("cpu")


def prepared(vit: FrozenViT, paths: list[Path], run: Path, **settings: object) -> tuple[object, str]:
    recorder = Recorder()
    wanted = TrainSettings(res=64, **settings)
    return prepare_features(vit, paths, wanted, RunContext(CPU, run, recorder, Stop())), "".join(recorder.notes)


@pytest.mark.slow
def test_beyond_the_limit_features_are_computed_for_each_step_and_are_the_same(
    small_vit: FrozenViT, photos_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    paths = [tmp_path / "broken.jpg", *sorted(photos_folder.glob("*.jpg"))[:4]]
    kept, said_kept = prepared(small_vit, paths, tmp_path)
    live, said_live = prepared(small_vit, paths, tmp_path, max_cache_gb=0.0)
    assert isinstance(kept, FeatureCache)
    assert isinstance(live, LiveFeatures)
    assert "Features of 4 photographs take 0 MB, kept in memory" in said_kept
    assert "more than the 0 GB allowed" in said_live
    assert live.paths == kept.paths
    assert torch.allclose(live.pooled, kept.pooled, atol=1e-3)
    assert len(live.random_tokens(10, torch.Generator())) == 10
    assert len(live.random_tokens(10**6, torch.Generator())) == len(kept.random_tokens(10**6, torch.Generator()))

    points = torch.rand(3, 6, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    plan = [torch.tensor([3, 0, 3]), torch.tensor([1, 2, 1])]
    for needed, (cache, rows) in zip(plan, live.follow(lambda step: plan[step], range(2)), strict=True):
        assert torch.allclose(cache.sample(rows, points), kept.sample(needed, points), atol=2e-2)
    seen = {int(indices[0]): group for indices, group in live.groups()}
    assert sorted(seen) == [0, 1, 2, 3]
    assert torch.allclose(live.grid(2), kept.grid(2), atol=2e-2)
    assert all(torch.equal(group.grids[0], kept.grids[index]) for index, group in seen.items())


def test_the_size_is_what_the_features_take(small_vit: FrozenViT, photos_folder: Path) -> None:
    cut = Cut(res=64, patch=16, crops="five")
    found = survey([photos_folder / "cat.jpg"], cut)
    assert len(found.views) == 5
    assert found.bytes(192) == sum(rows * columns for rows, columns in found.grids) * 192 * 2


def test_the_backbone_runs_in_mixed_precision(small_vit: FrozenViT) -> None:
    image = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = small_vit(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = small_vit(image).float()
    assert torch.nn.functional.cosine_similarity(plain, mixed, dim=-1).min() > 0.99
    with autocast(CPU):  # the CPU itself stays in single precision
        assert torch.equal(small_vit(image), plain)
