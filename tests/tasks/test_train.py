"""Training as a whole: what is trained on, with how many classes, and what failed."""

import json
from pathlib import Path

import pytest

from stego_cli.errors import NoInputError, UsageError
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.tasks.train import TrainTask, train

SHORT = {"res": 56, "steps": 1, "restarts": 1, "points": 5, "block": 1}


@pytest.fixture
def data(tmp_path: Path, photos_folder: Path) -> Path:
    """A data set of two photographs and a broken one, whose dataset.json names three classes."""
    root = tmp_path / "data"
    (root / "imgs" / "train").mkdir(parents=True)
    for name in ("cat", "lake"):
        (root / "imgs" / "train" / f"{name}.jpg").write_bytes((photos_folder / f"{name}.jpg").read_bytes())
    (root / "imgs" / "train" / "broken.jpg").write_bytes(b"no picture")
    classes = [{"name": name, "colour": [index, 0, 0]} for index, name in enumerate("abc")]
    about = {"stego_dataset": 1, "name": "mine", "classes": classes, "void": 255, "splits": {}, "prepared": {}}
    (root / "dataset.json").write_text(json.dumps(about))
    return root


@pytest.mark.parametrize(("classes", "prefer_data", "expected"), [(None, False, 3), (2, False, 2), (2, True, 3)])
def test_a_data_set_gives_the_number_of_classes_unless_it_was_given(
    classes: int | None, prefer_data: bool, expected: int, data: Path, tmp_path: Path, real_weights: Path
) -> None:
    task = TrainTask(data, tmp_path / "run", TrainSettings(**SHORT, classes=classes), prefer_data_classes=prefer_data)
    result = train(task, Quiet(), Stop())
    assert len(result.checkpoint.cluster) == result.checkpoint.settings.classes == expected
    assert result.out == tmp_path / "run"
    assert (result.out / "model.safetensors").is_file()
    assert result.is_first_process
    assert [path.name for path, _ in result.failed] == ["broken.jpg"]


def test_one_photograph_and_labels_beside_it_are_enough(
    photos_folder: Path, tmp_path: Path, real_weights: Path
) -> None:
    (tmp_path / "labels").mkdir()
    training = TrainSettings(**SHORT, classes=2)
    task = TrainTask(photos_folder / "cat.jpg", tmp_path / "run", training, labels=tmp_path / "labels")
    result = train(task, Quiet(), Stop())
    assert result.failed == []
    assert result.checkpoint.provenance.photographs == 1
    assert result.checkpoint.linear is None  # there is no label for it


def test_what_cannot_be_done_is_refused_before_the_work(photos_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match="nowhere"):
        train(TrainTask(tmp_path / "nowhere", tmp_path / "run"), Quiet(), Stop())
    with pytest.raises(UsageError, match=r"nothing to resume.*resume=True"):
        train(TrainTask(photos_folder, tmp_path / "run", resume=True), Quiet(), Stop())
    with pytest.raises(UsageError) as caught:
        train(TrainTask(photos_folder, tmp_path / "run", labels=tmp_path / "nowhere"), Quiet(), Stop())
    assert caught.value.field == "labels"
    assert not (tmp_path / "run").exists()
