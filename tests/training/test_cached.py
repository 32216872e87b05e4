"""Features that are computed once: whole, in order, and bounded in memory."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from stego_cli.errors import NoInputError, Stopped
from stego_cli.model.vit import FrozenViT
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.training.cached import compute_features
from stego_cli.training.context import RunContext
from stego_cli.training.features import FeatureCache
from stego_cli.training.views import Cut, survey

CPU = torch.device("cpu")


def computed(
    vit: FrozenViT, paths: list[Path], scratch: Path, limit: int = 10**9, stop: Stop | None = None
) -> FeatureCache:
    context = RunContext(CPU, scratch, Quiet(), stop or Stop())
    return compute_features(vit, survey(paths, Cut(64, vit.row.patch)), limit, context)


def test_every_photograph_keeps_its_own_features(small_vit: FrozenViT, photos_folder: Path, tmp_path: Path) -> None:
    paths = sorted(photos_folder.glob("*.jpg"))[:5]
    together = computed(small_vit, paths, tmp_path)
    assert together.paths == paths
    for index, path in enumerate(paths):
        alone = computed(small_vit, [path], tmp_path)
        start, (h, w) = int(together.starts[index]), together.grids[index].tolist()
        assert torch.allclose(together.tokens[start : start + h * w].float(), alone.tokens.float(), atol=2e-2)
        assert torch.allclose(together.pooled[index], alone.pooled[0], atol=1e-3)


def test_a_file_serves_when_memory_is_short_and_leaves_nothing(
    small_vit: FrozenViT, photos_folder: Path, tmp_path: Path
) -> None:
    paths = sorted(photos_folder.glob("*.jpg"))[:3]
    in_memory, in_file = computed(small_vit, paths, tmp_path), computed(small_vit, paths, tmp_path, limit=1000)
    assert torch.equal(in_memory.tokens, in_file.tokens)
    assert list(tmp_path.iterdir()) == []


def test_undecodable_photographs_are_left_out_by_name(
    small_vit: FrozenViT, photos_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    whole = (photos_folder / "lake.jpg").read_bytes()
    (tmp_path / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    cache = computed(small_vit, [tmp_path / "text.jpg", tmp_path / "torn.jpg", photos_folder / "cat.jpg"], tmp_path)
    assert [path.name for path in cache.paths] == ["cat.jpg"]
    assert sorted(path.name for path, _ in cache.failed) == ["text.jpg", "torn.jpg"]
    assert torch.isfinite(cache.sample(torch.tensor([0]), torch.zeros(1, 3, 2))).all()
    assert len(cache.random_tokens(10**6, torch.Generator())) == int(cache.grids.prod())


def test_no_usable_photograph_is_an_error_that_names_one(small_vit: FrozenViT, tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(NoInputError, match=r"empty\.png: the file is empty"):
        computed(small_vit, [tmp_path / "empty.png"], tmp_path)


def test_many_shapes_go_through_in_bounded_groups(small_vit: FrozenViT, tmp_path: Path) -> None:
    paths = []
    for index in range(40):
        paths.append(tmp_path / f"{index:02}.png")
        Image.new("RGB", (64 + 16 * index, 64), (index, 0, 0)).save(paths[-1])
    cache = computed(small_vit, paths, tmp_path)
    assert cache.paths == paths
    assert cache.grids[:, 1].tolist() == [min(4 + index, 8 * 4) for index in range(40)]  # at most 8 to 1


def test_a_signal_stops_between_batches(small_vit: FrozenViT, photos_folder: Path, tmp_path: Path) -> None:
    stop = Stop()
    stop.requested = 130
    with pytest.raises(Stopped):
        computed(small_vit, [photos_folder / "cat.jpg"], tmp_path, stop=stop)
