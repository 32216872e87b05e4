"""Windows drawn from rasters, to train on and to discover classes in."""

from __future__ import annotations

import numpy as np
from PIL import Image

from stego_cli.images.discover import find_photos
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Quiet
from stego_cli.reading import Reading
from stego_cli.settings import TrainSettings
from stego_cli.sources.draw import DRAWN, Drawing, draw_parts
from stego_cli.sources.table import SUFFIXES, apart
from stego_cli.tasks.train import TrainTask, train
from stego_cli.training.views import Cut
from tests.sources.conftest import COLOURS, fields, write_raster


def test_windows_are_spread_over_the_raster_and_are_the_same_again(tmp_path):
    labels = fields(700, 1000)
    (tmp_path / "in").mkdir()
    write_raster(tmp_path / "in/town.tif", labels)
    found, _ = apart(find_photos(tmp_path / "in", None, also=SUFFIXES), named=False)
    drawing = Drawing(found, Reading(), 224, PartSettings())
    drawn = draw_parts(drawing, tmp_path / "a", 100, Quiet())
    again = draw_parts(drawing, tmp_path / "b", 100, Quiet())
    assert len(drawn) == 20  # 4 rows of 5
    assert np.array_equal(np.asarray(Image.open(drawn[0])), COLOURS[labels[:224, :224]])
    assert [file.read_bytes() for file in drawn] == [file.read_bytes() for file in again]
    assert {file.stat().st_mtime_ns for file in drawn + again} == {0}
    assert len(draw_parts(drawing, tmp_path / "c", 4, Quiet())) == 4


def test_the_bands_of_a_drawn_window_are_chosen_once(tmp_path):
    labels = fields(224, 224)
    write_raster(tmp_path / "town.tif", labels)
    found, _ = apart(find_photos(tmp_path / "town.tif", None, also=SUFFIXES), named=True)
    reading = Reading((3, 2, 1))
    (drawn,) = draw_parts(Drawing(found, reading, 224, PartSettings()), tmp_path / DRAWN, 1, Quiet())
    (view,) = Cut(224, 14, reading=reading).pixels(drawn, (224, 224), [0])
    assert np.array_equal(view, COLOURS[labels][..., ::-1])


def test_a_raster_is_trained_on_by_windows_and_they_do_not_outlive_the_training(tmp_path, real_weights):
    write_raster(tmp_path / "town.tif", fields(120, 170, side=30))
    settings = TrainSettings(res=56, steps=1, restarts=1, points=5, classes=2, device="cpu")
    result = train(TrainTask(tmp_path / "town.tif", tmp_path / "run", settings), Quiet())
    assert result.failed == []
    assert result.checkpoint.provenance.photographs == 12  # 3 rows of 4
    assert not (tmp_path / "run/.stego-parts").exists()
