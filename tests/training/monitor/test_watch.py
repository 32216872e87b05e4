"""What is shown of a run, and that showing it neither changes nor endangers the run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stego_cli.errors import Stopped, UsageError
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.monitor import tensorboard_log
from stego_cli.training.monitor.histograms import BINS
from stego_cli.training.run_folder import RunOptions
from stego_cli.training.train import train
from tests.support.recorder import Recorder, StopAtStep

SETTINGS = TrainSettings(res=56, steps=10, points=5, restarts=1, classes=4, block=1)
TERMS = ("negative", "inter", "intra")


def run_into(run: Path, paths: list[Path], settings: TrainSettings = SETTINGS, **options: bool) -> list[str]:
    recorder = Recorder()
    train(paths, run, settings, recorder, Stop(), options=RunOptions(**options))
    return recorder.warnings


def kept(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in ("model.safetensors", "config.json", "metrics.jsonl")]


@pytest.fixture(scope="module")
def paths(photos_folder: Path) -> list[Path]:
    return sorted(photos_folder.glob("*.jpg"))[:3]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, paths: list[Path], real_weights: Path) -> Path:
    run = tmp_path_factory.mktemp("watch") / "plain"
    assert run_into(run, paths) == []
    return run


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, paths: list[Path], real_weights: Path) -> Path:
    run = tmp_path_factory.mktemp("watch") / "logged"
    assert run_into(run, paths, tensorboard=True) == []
    return run


def test_every_run_gets_a_page_that_needs_nothing_else(plain: Path, paths: list[Path]) -> None:
    page = (plain / "report.html").read_text()
    assert not re.search(r"https?://|<script|<link", page)
    assert all(address.startswith("data:image/") for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    for path in paths:
        assert page.count(f'alt="photograph of {path.name}"') == 1
        assert page.count(f'alt="mask, without CRF of {path.name}"') == 1
    for title in ("Loss", "Mean correspondence of codes, S", "Shift b of each term", "Effective rank of the codes"):
        assert f"<h3>{title}</h3>" in page
    loss = json.loads((plain / "metrics.jsonl").read_text().splitlines()[-1])["loss"]
    assert f"<b>{loss:+.3f}</b>" in page
    assert page.count('<td class="bar">') == SETTINGS.classes
    assert not (plain / "tensorboard").exists()


def test_watching_changes_no_byte_of_the_model(plain: Path, logged: Path) -> None:
    assert kept(plain) == kept(logged)
    assert (plain / "report.html").read_bytes() == (logged / "report.html").read_bytes()


def test_the_log_holds_scalars_histograms_and_predictions(logged: Path, paths: list[Path]) -> None:
    events = EventAccumulator(str(logged / "tensorboard"), size_guidance={"images": 0, "histograms": 0})
    events.Reload()
    lines = [json.loads(line) for line in (logged / "metrics.jsonl").read_text().splitlines()]
    wanted = {"loss", "rank", *(f"{kind}/{term}" for kind in ("terms", "correspondences", "b") for term in TERMS)}
    assert set(events.Tags()["scalars"]) == wanted
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(
        [line["loss"] for line in lines], abs=1e-6
    )
    assert [event.step for event in events.Scalars("b/inter")] == list(range(1, 11))
    assert set(events.Tags()["histograms"]) == {f"{kind}/{term}" for kind in "FS" for term in TERMS}
    first = events.Histograms("S/intra")[0]
    assert first.step == 1
    assert first.histogram_value.num == 3 * 25 * 25
    mean = first.histogram_value.sum / first.histogram_value.num
    assert mean == pytest.approx(lines[0]["correspondences"]["intra"], abs=2 / BINS)
    assert len(events.Images(f"1 {paths[0].name}/photograph")) == 1
    assert [event.step for event in events.Images(f"1 {paths[0].name}/mask")] == [2, 4, 6, 8, 10]


def test_a_resumed_run_is_logged_and_reported_whole(plain: Path, paths: list[Path], tmp_path: Path) -> None:
    stop = Stop()
    run = tmp_path / "run"
    with pytest.raises(Stopped, match="after step 4"):
        train(paths, run, SETTINGS, StopAtStep(stop, 4), stop, options=RunOptions(tensorboard=True))
    assert "4 of 10" in (run / "report.html").read_text()
    assert run_into(run, paths, tensorboard=True, resume=True) == []
    assert kept(run) == kept(plain)
    assert (run / "report.html").read_bytes() == (plain / "report.html").read_bytes()
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 11))


def test_a_run_that_replaces_another_leaves_nothing_of_its_pages(
    logged: Path, paths: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for file in ("config.json", "model.safetensors", "report.html"):
        (run / file).write_text("{}")
    (run / "tensorboard").mkdir()
    (run / "tensorboard" / "events.out.tfevents.1.old").touch()
    (run / "tensorboard" / "mine.txt").touch()
    settings = replace(SETTINGS, steps=1)
    assert run_into(run, paths[:1], settings=settings, overwrite=True) == []
    assert [file.name for file in (run / "tensorboard").iterdir()] == ["mine.txt"]
    assert "<!doctype html>" in (run / "report.html").read_text()


def test_a_page_that_cannot_be_written_is_one_warning(plain: Path, paths: list[Path], tmp_path: Path) -> None:
    class InTheWay(Recorder):
        """Something takes the page's place during the run; what has it before is refused at the start."""

        def event(self, kind: str, **fields: object) -> None:
            (tmp_path / "run" / "report.html").mkdir(exist_ok=True)

    recorder = InTheWay()
    train(paths, tmp_path / "run", SETTINGS, recorder, Stop())
    (warning,) = recorder.warnings
    assert "The report could not be written" in warning
    assert "report.html" in warning
    assert kept(tmp_path / "run") == kept(plain)


@pytest.mark.parametrize("where", ["TensorBoard.histograms", "cosine_kmeans", "TensorBoard.finish"])
def test_whatever_fails_in_the_log_is_one_warning(
    where: str, plain: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*anything: object, **more: object) -> None:
        raise RuntimeError("no more ink\nand more lines")

    monkeypatch.setattr(f"{tensorboard_log.__name__}.{where}", broken)
    (warning,) = run_into(tmp_path / "run", paths, tensorboard=True)
    assert warning == "The log for TensorBoard could not be written, which does not affect the model: no more ink"
    assert kept(tmp_path / "run") == kept(plain)


def test_a_histogram_that_fails_leaves_the_rest(
    plain: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*anything: object) -> None:
        raise MemoryError

    monkeypatch.setattr("stego_cli.training.monitor.watch.histogram", broken)
    (warning,) = run_into(tmp_path / "run", paths)
    assert "histograms" in warning
    assert "MemoryError" in warning
    assert kept(tmp_path / "run") == kept(plain)
    assert "<h3>Loss</h3>" in (tmp_path / "run" / "report.html").read_text()


def test_a_missing_tensorboard_is_said_before_the_work(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard_log.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        run_into(tmp_path / "run", paths, tensorboard=True)
    assert "stego-cli[tensorboard]" in str(caught.value.remedy)
    assert not (tmp_path / "run").exists()


def test_a_photograph_that_has_gone_is_left_out_of_the_page(
    paths: list[Path], tmp_path: Path, real_weights: Path
) -> None:
    copies = [tmp_path / path.name for path in paths]
    for path, copy in zip(paths, copies, strict=True):
        copy.write_bytes(path.read_bytes())

    class Thief(Recorder):
        def event(self, kind: str, **fields: object) -> None:
            copies[0].unlink(missing_ok=True)

    thief = Thief()
    train(copies, tmp_path / "run", SETTINGS, thief, Stop())
    assert thief.warnings == []
    page = (tmp_path / "run" / "report.html").read_text()
    assert copies[0].name not in page
    assert copies[1].name in page


def test_a_run_without_a_step_has_a_page_too(paths: list[Path], tmp_path: Path, real_weights: Path) -> None:
    settings = replace(SETTINGS, steps=0)
    assert run_into(tmp_path / "run", paths[:1], tensorboard=True, settings=settings) == []
    assert "never trained" in (tmp_path / "run" / "report.html").read_text()
