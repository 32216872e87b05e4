"""A model for those who have none: what is kept of a training that only serves another task."""

import pytest

from stego_cli.errors import OutputError, Stopped
from stego_cli.images.discover import find_photos
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.settings import TrainSettings
from stego_cli.sources.draw import Drawing
from stego_cli.stop import Stop
from stego_cli.tasks import discover


@pytest.fixture
def stopped():
    stop = Stop()
    stop.requested = 130
    return stop


def test_a_stop_keeps_nothing_and_speaks_of_no_run_to_resume(stopped, real_weights, photos_folder, tmp_path):
    target = tmp_path / "model.onnx"
    settings = TrainSettings(classes=3, steps=2, res=56, device="cpu")
    drawing = Drawing(find_photos(photos_folder / "cat.jpg"), Reading(), settings.res, PartSettings())
    with pytest.raises(Stopped, match=r"Stopped while discovering classes\. .*same command") as caught:
        discover.discover_model(drawing, target, settings, Quiet(), stopped)
    assert caught.value.exit_code == 130
    assert "--resume" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_run_for_a_data_set_is_kept_under_its_name_and_nothing_else_is_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(task, progress, stop):
        assert task.photos == tmp_path / "camvid"
        task.out.mkdir()
        (task.out / "config.json").touch()

    monkeypatch.setattr(discover, "train", train)
    run = discover.train_for_data(tmp_path / "camvid", Quiet(), Stop())
    assert [path.name for path in tmp_path.iterdir()] == ["camvid-run"]
    assert (tmp_path / run / "config.json").exists()
    with pytest.raises(OutputError, match="camvid-run exists and is not a run"):
        discover.train_for_data(tmp_path / "camvid", Quiet(), Stop())
