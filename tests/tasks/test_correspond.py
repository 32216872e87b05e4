"""Correspondences as a whole; the pictures themselves are looked at in tests/cli."""

from pathlib import Path

import pytest
from PIL import Image

from stego_cli.errors import Stopped, UsageError
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.tasks.correspond import CorrespondTask, correspond


def test_a_point_gives_a_picture_and_its_values(photos_folder: Path, tmp_path: Path, real_weights: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    photos = (photos_folder / "cat.jpg", broken, photos_folder / "lake.jpg")
    result = correspond(CorrespondTask(tmp_path / "maps.png", photos, ((200.0, 100.0),), res=56), Quiet(), Stop())
    with Image.open(result.out) as picture:
        assert picture.format == "PNG"
    assert result.agreement is None
    assert [path for path, _ in result.failed] == [broken]
    assert [row["at"] for row in result.values["best"]] == [[200.0, 100.0]] * 2
    assert set(result.names) == {"F"}


def test_a_signal_ends_it_without_a_picture(photos_folder: Path, tmp_path: Path, real_weights: Path) -> None:
    stop = Stop()
    stop.requested = 130
    task = CorrespondTask(tmp_path / "maps.png", (photos_folder / "cat.jpg",), ((1.0, 1.0),), res=56)
    with pytest.raises(Stopped):
        correspond(task, Quiet(), stop)
    assert not (tmp_path / "maps.png").exists()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "Give photographs and at, or data"),
        ({"photos": (Path("a"),), "data": Path("b")}, "Give photographs and at, or data"),
        ({"photos": (Path("a"),)}, "at: is missing"),
        ({"photos": (Path("a"),), "at": ((1.0, 1.0),) * 41}, "at most 40 rows"),
        ({"data": Path("a"), "run": Path("b"), "backbone": "c"}, "give run or backbone"),
        ({"data": Path("a"), "limit": 0}, "limit: must be 1 to 20000, got 0"),
        ({"data": Path("a"), "res": 8}, "res: must be 16 or more, got 8"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=text):
        CorrespondTask(tmp_path / "x.png", **settings)
