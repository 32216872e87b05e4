"""Training on real photographs with the real backbone, small and short."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stego_cli.datasets.layout import Folders
from stego_cli.errors import OutputError, Stopped, UsageError
from stego_cli.hierarchy import joined_at
from stego_cli.images.lock import hold
from stego_cli.model.checkpoint import load_checkpoint
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.cluster_codes import most_classes
from stego_cli.training.presets import preset_settings
from stego_cli.training.run_folder import LOCK_FILE, RunOptions
from stego_cli.training.train import train
from tests.support.recorder import Recorder, StopAtStep

# Two blocks of the backbone's twelve: how a run goes does not depend on the depth.
QUICK = {"res": 112, "steps": 6, "restarts": 2, "block": 1}


def quick(paths: list[Path], run: Path, progress: Quiet | None = None, **settings: object) -> None:
    train(paths, run, TrainSettings(**{**QUICK, **settings}), progress or Quiet(), Stop())


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def paths(photos_folder: Path) -> list[Path]:
    return sorted(photos_folder.glob("*.jpg"))


@pytest.fixture(scope="module")
def undisturbed(paths: list[Path], tmp_path_factory: pytest.TempPathFactory, real_weights: Path) -> Path:
    """A finished run on four photographs, which no test changes."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    quick(paths[:4], run)
    return run


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_few_photographs_train_and_say_what_was_adapted(
    count: int, paths: list[Path], tmp_path: Path, real_weights: Path
) -> None:
    recorder = Recorder()
    quick(paths[:count], tmp_path / "run", recorder)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert 4 <= len(checkpoint.cluster) <= most_classes(count)
    curve = checkpoint.provenance.class_curve
    assert [each["classes"] for each in curve] == list(range(4, most_classes(count) + 1))
    assert all(0 <= each["stability"] <= 1 for each in curve)
    assert checkpoint.settings.batch == count
    assert any("classes for" in text for text in recorder.texts)
    assert any("nearest neighbour" in text for text in recorder.texts)
    assert len(metrics(tmp_path / "run")) == QUICK["steps"]
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert np.isfinite(checkpoint.cluster.centroids.numpy()).all()


def test_grey_identical_and_flat_photographs_train_without_nan(tmp_path: Path, real_weights: Path) -> None:
    flat = Image.new("L", (160, 120), 90)
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for file in files:
        flat.save(file)
    quick(files, tmp_path / "run", classes=3)
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert np.isfinite(load_checkpoint(tmp_path / "run").cluster.centroids.numpy()).all()


def test_thirty_one_photographs_partly_grey_and_alike_train_with_labels_partly_missing(
    paths: list[Path], tmp_path: Path, real_weights: Path
) -> None:
    (tmp_path / "photos").mkdir()
    files = [tmp_path / "photos" / f"{index:02}.png" for index in range(31)]
    for index, file in enumerate(files):
        with Image.open(paths[index % 5]) as photo:  # five photographs again and again: exact copies
            photo.convert("L" if index % 2 else "RGB").resize((80, 60)).save(file)
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.full((60, 80), 2, np.uint8)).save(tmp_path / "labels" / "03.png")
    folders = Folders(tmp_path / "photos", tmp_path / "labels")
    settings = TrainSettings(res=56, steps=4, restarts=1, block=1)
    checkpoint = train(files, tmp_path / "run", settings, Quiet(), Stop(), folders).checkpoint
    assert "NaN" not in (tmp_path / "run" / "metrics.jsonl").read_text()
    assert np.isfinite(checkpoint.cluster.centroids.numpy()).all()
    assert checkpoint.linear is not None


def test_the_block_is_found_among_those_of_the_second_half(
    paths: list[Path], tmp_path: Path, real_weights: Path
) -> None:
    recorder = Recorder()
    quick(paths[:4], tmp_path / "run", recorder, block="auto", steps=1, classes=4)
    checkpoint = load_checkpoint(tmp_path / "run")
    dimensions = {each["block"]: each["dimensions"] for each in checkpoint.provenance.blocks}
    assert sorted(dimensions) == list(range(6, 12))
    assert dimensions[checkpoint.block] == max(dimensions.values())
    assert dimensions[11] < dimensions[9]  # the last block of this backbone was tuned for another task
    assert checkpoint.settings.block == checkpoint.block
    assert any(text.startswith("Dimensions used by") for text in recorder.texts)


def test_the_papers_recipe_trains_on_crops_and_keeps_its_own_centroids(
    paths: list[Path], tmp_path: Path, real_weights: Path
) -> None:
    settings = preset_settings("paper-cocostuff27-vits8", backbone="focus-vits14", res=56, steps=4, classes=5)
    checkpoint = train(paths[:2], tmp_path / "run", settings, Quiet(), Stop()).checkpoint
    assert checkpoint.provenance.photographs == 2
    assert checkpoint.settings.batch == 10  # five crops of each
    assert checkpoint.cluster.centroids.shape == (5, 70)
    assert list(checkpoint.shares) == sorted(checkpoint.shares, reverse=True)
    lines = metrics(tmp_path / "run")
    assert [line["b"]["negative"] for line in lines] == pytest.approx([0.66] * 4)
    assert all(np.isfinite(line["probe"]) for line in lines)


def test_the_loss_falls_on_real_photographs(paths: list[Path], tmp_path: Path, real_weights: Path) -> None:
    quick(paths[:4], tmp_path / "run", steps=24, block=7)
    losses = [line["loss"] for line in metrics(tmp_path / "run")]
    assert np.mean(losses[-8:]) < np.mean(losses[:8])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    paths: list[Path], undisturbed: Path, tmp_path: Path
) -> None:
    for name, seed in (("b", 0), ("c", 1)):
        quick(paths[:4], tmp_path / name, seed=seed)
    files = ("model.safetensors", "config.json", "metrics.jsonl")
    runs = (undisturbed, tmp_path / "b", tmp_path / "c")
    first, second, third = ([(run / file).read_bytes() for file in files] for run in runs)
    assert first == second
    assert first[0] != third[0]


def test_a_stopped_run_is_whole_and_resumes_to_the_same_bytes(
    paths: list[Path], undisturbed: Path, tmp_path: Path
) -> None:
    settings = TrainSettings(**QUICK)
    stop = Stop()
    run = tmp_path / "run"
    with pytest.raises(Stopped) as caught:
        train(paths[:4], run, settings, StopAtStep(stop, 3), stop)
    assert caught.value.exit_code == 130
    assert "resume=True" in str(caught.value)
    assert load_checkpoint(run).provenance.steps_done == 3

    with pytest.raises(UsageError, match="unfinished"):
        train(paths[:4], run, settings, Quiet(), Stop())
    with pytest.raises(UsageError, match="other photographs"):
        train(paths[1:5], run, settings, Quiet(), Stop(), options=RunOptions(resume=True))
    with pytest.raises(UsageError, match="other steps"):
        train(paths[:4], run, TrainSettings(**{**QUICK, "steps": 20}), Quiet(), Stop(), options=RunOptions(resume=True))
    train(paths[:4], run, settings, Quiet(), Stop(), options=RunOptions(resume=True))
    for file in ("model.safetensors", "config.json", "metrics.jsonl"):
        assert (run / file).read_bytes() == (undisturbed / file).read_bytes(), file
    assert not (run / "resume.safetensors").exists()


def test_a_finished_run_is_not_replaced_unasked(paths: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="holds a run already"):
        quick(paths[:2], run, seed=1)
    assert (run / "model.safetensors").read_bytes() == before
    train(paths[:2], run, TrainSettings(**QUICK, seed=1), Quiet(), Stop(), options=RunOptions(overwrite=True))
    assert (run / "model.safetensors").read_bytes() != before


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        quick(paths[:1], tmp_path / "file" / "run")


def test_collapsed_codes_are_reported(tmp_path: Path, paths: list[Path], real_weights: Path) -> None:
    recorder = Recorder()
    # Attraction alone: every code moves to one point, as with published shifts on the wrong backbone.
    quick(paths[:4], tmp_path / "run", recorder, steps=30, lr=0.02, weights=(0.0, 1.0, 1.0), quantiles=(0.0, 0.0, 0.0))
    assert any("collapsing" in text for text in recorder.texts)


@pytest.mark.parametrize(
    ("field", "value"), [("classes", 1), ("classes", 257), ("res", 8), ("steps", -1), ("token", "value")]
)
def test_settings_without_meaning_are_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        TrainSettings(**{field: value})


def test_a_signal_after_the_last_step_changes_nothing(paths: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    stop = Stop()
    train(paths[:4], tmp_path / "late", TrainSettings(**QUICK), StopAtStep(stop, QUICK["steps"]), stop)
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "late" / file).read_bytes() == (undisturbed / file).read_bytes()


def test_what_cannot_work_leaves_the_run_that_is_there(paths: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    (run / "discover-birds").mkdir()
    before = {path.name: path.read_bytes() for path in run.glob("[!.]*.*") if path.is_file()}
    for wrong in ({"block": 99}, {"backbone": "typo"}, {"device": "cuda:99"}):
        with pytest.raises(UsageError):
            train(
                paths[:2], run, TrainSettings(**{**QUICK, **wrong}), Quiet(), Stop(), options=RunOptions(overwrite=True)
            )
    assert {path.name: path.read_bytes() for path in run.glob("[!.]*.*") if path.is_file()} == before
    assert (run / "discover-birds").is_dir()


def test_two_runs_in_one_folder_are_refused(paths: list[Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with hold(run / LOCK_FILE), pytest.raises(OutputError, match="Another run is writing to"):
        quick(paths[:1], run)


def test_more_clusters_than_classes_are_found_on_the_same_codes_with_a_hierarchy(
    paths: list[Path], undisturbed: Path, tmp_path: Path
) -> None:
    quick(paths[:4], tmp_path / "fine", classes=4, overcluster="auto")
    plain, fine = load_checkpoint(undisturbed), load_checkpoint(tmp_path / "fine")
    assert torch.equal(plain.head.cluster1.weight, fine.head.cluster1.weight)
    assert (fine.settings.classes, fine.settings.overcluster) == (4, 16)
    assert fine.cluster.centroids.shape == (16, 70)
    stored = json.loads((tmp_path / "fine" / "config.json").read_text())["hierarchy"]
    assert tuple(map(tuple, stored)) == fine.hierarchy
    assert len(set(joined_at(fine.hierarchy, 4))) == 4


@pytest.mark.parametrize(("given", "said"), [(3, "at least"), (256, "2 to 255"), ("many", "'auto'")])
def test_a_number_of_clusters_that_makes_no_sense_is_refused(given: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainSettings(classes=4, overcluster=given)  # type: ignore[arg-type]
