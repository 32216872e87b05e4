"""The command as a user starts it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.app import app
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.train import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos_folder: Path, real_weights: Path) -> Path:
    folder = tmp_path_factory.mktemp("correspond") / "run"
    train(
        [photos_folder / "wren.jpg"],
        folder,
        TrainSettings(res=56, steps=2, restarts=1, classes=2, block=1),
        Quiet(),
        Stop(),
    )
    return folder


def stego(*arguments: object) -> int:
    """Run the command in this process, which has torch loaded, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        app(["correspond", *map(str, arguments)])
    return int(ended.value.code or 0)


def test_a_picture_of_features_and_codes(
    run: Path, photos_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "a $x^2$ \u732b.jpg"  # neither mathematics nor a letter of matplotlib's font
    odd.write_bytes((photos_folder / "cat.jpg").read_bytes())
    file = tmp_path / "new" / "maps.png"
    points = ("--at", "200,100", photos_folder / "lake.jpg", "--at", "10,20")
    assert stego(odd, *points, "--run", run, "--out", file, "--json", "-") == 0
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 1000
    rows = json.loads(capsys.readouterr().out)["best"]
    assert [row["at"] for row in rows] == [[200, 100], [10, 20]] * 2
    assert all(-1 <= row[kind]["cosine"] <= 1.0001 for row in rows for kind in "FS")


def test_curves_of_a_labelled_set(
    run: Path, photos_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("lake", "wren", "shrike"):
        for kind in ("imgs", "labels"):
            (tmp_path / "data" / kind / "val").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "imgs" / "val" / f"{name}.jpg").write_bytes((photos_folder / f"{name}.jpg").read_bytes())
        labels = np.zeros((20, 30), dtype=np.uint8)
        labels[10:] = 1
        Image.fromarray(labels).save(tmp_path / "data" / "labels" / "val" / f"{name}.png")
    (tmp_path / "data" / "imgs" / "val" / "z.jpg").touch()
    Image.new("L", (4, 4)).save(tmp_path / "data" / "labels" / "val" / "z.png")
    monkeypatch.chdir(tmp_path)
    assert stego("--data", "data", "--run", run, "--out", "c.png", "--json", "c.json") == 3  # z.jpg is empty
    said = capsys.readouterr()
    assert "z.jpg: the file is empty" in said.err
    written = json.loads((tmp_path / "c.json").read_text())
    assert written["photographs"] == 3
    assert set(written["average_precision"]) == {"F", "S", "colour"}
    for kind, by_pairing in written["average_precision"].items():
        assert f"{by_pairing['all']:.3f}" in said.out, kind
        assert written["base_rate"]["all"] - 0.1 < by_pairing["all"] <= 1
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.width > 800


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Give photographs and --at, or --data"),
        (("cat.jpg",), 2, "--at: is missing"),
        (("cat.jpg", "--at", "1;2"), 2, "is not X,Y"),
        (("cat.jpg", "--at", "1,2", "--data", "x"), 2, "Give photographs"),
        (("cat.jpg", "--at", "1,2", "--run", "x", "--backbone", "y"), 2, "--run or --backbone"),
        (("cat.jpg", "--at", "1,2", "--run", "x"), 2, "holds no checkpoint"),
        (("--data", "nowhere"), 4, "nowhere"),
        (("cat.jpg", *("--at", "1,2") * 41), 2, "at most 40 rows"),
    ],
)
def test_wrong_use_is_said_before_the_work(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    real_weights: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stego(*arguments, "--out", "x.png") == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x.png").exists()
