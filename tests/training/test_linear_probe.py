from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from stego_cli.datasets.layout import Folders, training_folders
from stego_cli.errors import UsageError
from stego_cli.model.checkpoint import load_checkpoint
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.features import FeatureCache
from stego_cli.training.linear_probe import fit_linear_probe, sample_as_upsampled
from stego_cli.training.probe_labels import LabelledPoints, read_labels
from stego_cli.training.train import train
from tests.support.recorder import Recorder

PHOTOS = ("cat", "lake", "otters")


def cache_of(grids: list[torch.Tensor]) -> FeatureCache:
    sizes = [grid.shape[0] * grid.shape[1] for grid in grids]
    return FeatureCache(
        tokens=torch.cat([grid.flatten(0, 1) for grid in grids]).half(),
        starts=torch.tensor([sum(sizes[:index]) for index in range(len(sizes))]),
        grids=torch.tensor([grid.shape[:2] for grid in grids]),
        pooled=torch.zeros(len(grids), grids[0].shape[2]),
        paths=[Path(str(index)) for index in range(len(grids))],
        failed=[],
    )


def labelled(folder: Path, name: str, values: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(folder / f"{name}.png")


def test_points_have_the_codes_that_bilinear_upsampling_gives_them() -> None:
    grids = [torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0)), torch.randn(1, 5, 3)]
    cache = cache_of(grids)
    for index, grid in enumerate(grids):
        height, width = grid.shape[0] * 14, grid.shape[1] * 14
        up = F.interpolate(grid.half().float().permute(2, 0, 1)[None], size=(height, width), mode="bilinear")[0]
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=-1).flatten(0, 1)
        sampled = sample_as_upsampled(cache, torch.full((len(places),), index), places)
        assert torch.allclose(sampled, up.flatten(1).T, atol=1e-4)


@pytest.mark.slow
def test_the_probe_learns_what_is_linear_in_the_codes() -> None:
    generator = torch.Generator().manual_seed(0)
    grids = [torch.randn(8, 8, 5, generator=generator) for _ in range(4)]
    cache = cache_of(grids)
    photos = torch.randint(4, (3000,), generator=generator)
    places = torch.rand(3000, 2, generator=generator)
    codes = sample_as_upsampled(cache, photos, places)
    classes = (codes @ torch.randn(5, 3, generator=generator)).argmax(1)
    weight, bias, right = fit_linear_probe(codes, LabelledPoints(photos, places, classes, 3), generator)
    assert (weight.shape, bias.shape) == ((3, 5), (3,))
    assert right > 0.97


def test_labels_missing_broken_and_void_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    recorder = Recorder()
    half = np.full((20, 30), 255)
    half[5, 7] = 3
    labelled(tmp_path / "labels" / "deep", "half", half)
    labelled(tmp_path / "labels", "void", np.full((9, 9), 255))
    (tmp_path / "labels" / "broken.png").write_bytes(b"no picture")
    folders = Folders(tmp_path / "photos", tmp_path / "labels")
    photos = [folders.photos / name for name in ("deep/half.jpg", "void.jpg", "broken.jpg", "missing.jpg")]
    points = read_labels(photos, folders, torch.Generator().manual_seed(0), recorder)
    assert points is not None
    assert (points.count, set(points.classes.tolist()), set(points.photos.tolist())) == (4, {3}, {0})
    assert torch.allclose(points.places, torch.tensor([[7.5 / 30, 5.5 / 20]]).expand(len(points.places), 2))
    assert any("1 of 4 usable, 2 missing or broken, 1 void" in text for text in recorder.texts)
    assert any("broken.png" in text for text in recorder.texts)
    assert read_labels(photos[1:], folders, torch.Generator(), Quiet()) is None


def test_a_label_folder_that_is_not_there_is_named_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        train([], tmp_path / "run", TrainSettings(), Quiet(), Stop(), Folders(tmp_path, tmp_path / "nowhere"))
    assert not (tmp_path / "run").exists()


def test_a_data_set_is_known_by_its_layout(tmp_path: Path) -> None:
    assert training_folders(tmp_path, None) == Folders(tmp_path, None)
    photos, labels = tmp_path / "imgs" / "train", tmp_path / "labels" / "train"
    photos.mkdir(parents=True)
    assert training_folders(tmp_path, None) == Folders(photos, None)
    labels.mkdir(parents=True)
    assert training_folders(tmp_path, None) == Folders(photos, labels)
    assert training_folders(tmp_path, tmp_path / "own") == Folders(photos, tmp_path / "own")


SETTINGS = TrainSettings(res=112, steps=4, classes=4, restarts=2, block=1)


@pytest.fixture(scope="module")
def without_labels(photos_folder: Path, tmp_path_factory: pytest.TempPathFactory, real_weights: Path) -> Path:
    run = tmp_path_factory.mktemp("plain") / "run"
    train([photos_folder / f"{name}.jpg" for name in PHOTOS], run, SETTINGS, Quiet(), Stop())
    return run


@pytest.mark.parametrize("void", [False, True])
def test_training_with_labels_changes_nothing_but_the_linear_probe(
    void: bool, without_labels: Path, photos_folder: Path, tmp_path: Path
) -> None:
    for name in PHOTOS:
        with Image.open(photos_folder / f"{name}.jpg") as photo:
            values = np.repeat(np.arange(photo.height) > photo.height // 2, photo.width).reshape(-1, photo.width)
        labelled(tmp_path / "labels", name, np.full_like(values, 255, dtype=np.uint8) if void else values)
    paths = [photos_folder / f"{name}.jpg" for name in PHOTOS]
    train(paths, tmp_path / "with", SETTINGS, Quiet(), Stop(), Folders(photos_folder, tmp_path / "labels"))
    plain, probed = load_checkpoint(without_labels), load_checkpoint(tmp_path / "with")
    assert torch.equal(plain.cluster.centroids, probed.cluster.centroids)
    assert plain.linear is None
    if void:
        assert probed.linear is None
    else:
        assert probed.linear is not None
        weight, bias = probed.linear
        assert weight.shape == (2, 70)
        assert torch.isfinite(weight).all()
        assert torch.isfinite(bias).all()
        assert probed.provenance.linear_accuracy > 60
