"""What the task decides before anything is counted, and what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.classes import ClassTable, numbered
from stego_cli.datasets.about import About, Split
from stego_cli.errors import OutputError, UsageError
from stego_cli.progress import Quiet
from stego_cli.settings import ScoreSettings
from stego_cli.stop import Stop
from stego_cli.tasks.score import resolve, score

TABLE = ClassTable(("sky", "land"), ((1, 2, 3), (200, 0, 0)), void=7)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set of one photograph, and its masks beside it."""
    ids = np.array([[0, 0, 1, 7]], dtype=np.uint8)
    for folder in ("data/imgs/val", "data/labels/val", "masks/val"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(ids).save(tmp_path / folder / "a.png")
    (tmp_path / "data/dataset.json").write_text(
        About("mine", TABLE, {"val": Split(1, 1, [2, 1], [1, 1])}, {}).as_json()
    )
    return tmp_path / "data"


def test_a_data_set_has_its_own_classes_void_value_photographs_and_split(data: Path) -> None:
    masks = data.parent / "masks"
    comparison, photos = resolve(ScoreSettings(pred=masks, gt=data))
    assert (comparison.pred, comparison.gt) == (masks / "val", data / "labels/val")
    assert (comparison.table, comparison.grid.classes, comparison.grid.ignore) == (TABLE, 2, 7)
    assert photos == data / "imgs/val"
    assert comparison.extremes == 0


def test_what_is_given_goes_before_what_the_data_set_has(data: Path) -> None:
    given = ScoreSettings(
        pred=data, gt=data, classes=numbered(4), ignore=None, report=data / "r.html", photos=data / "mine"
    )
    comparison, photos = resolve(given)
    assert (comparison.table, comparison.grid.ignore, photos) == (numbered(4), None, data / "mine")
    assert comparison.extremes > 0


def test_with_a_remapping_the_classes_of_the_data_set_do_not_apply(data: Path) -> None:
    comparison, _ = resolve(ScoreSettings(pred=data, gt=data, remap={0: 1, 7: 0}))
    assert comparison.table is None
    assert comparison.grid.remapped(np.array([[0, 7, 3]], dtype=np.uint8)).tolist() == [[1, 0, 256]]


def test_json_and_report_are_written_by_the_task(data: Path, tmp_path: Path) -> None:
    files = {"json_file": tmp_path / "out/score.json", "report": tmp_path / "out/score.html"}
    with Stop() as stop:
        result = score(ScoreSettings(pred=tmp_path / "masks", gt=data, **files), Quiet(), stop)
    assert (result.miou, result.ignored_pixels) == (100, 1)
    assert json.loads(files["json_file"].read_text())["per_class"][0]["name"] == "sky"
    assert 'alt="photograph of a"' in files["report"].read_text()


def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(data: Path) -> None:
    with pytest.raises(OutputError):
        score(ScoreSettings(pred=data / "nowhere", gt=data, json_file=data), Quiet(), Stop())


@pytest.mark.parametrize(
    ("field", "value"), [("match", "best"), ("mode", "kind"), ("ignore", 70_000), ("workers", 0), ("photos", Path())]
)
def test_settings_that_make_no_sense_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=field):
        ScoreSettings(pred=Path(), gt=Path(), **{field: value})  # type: ignore[arg-type]
