"""`--processes`: the masks of one process, byte for byte, in one journal, whichever process dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from stego_cli.engines.local import masks
from stego_cli.engines.worker import Work
from stego_cli.errors import ModelError
from stego_cli.settings import SegmentSettings
from tests.support.deadly_task import DeadlyTask, DeadlyWorker, Item
from tests.support.processes import PATIENCE
from tests.support.recorder import Recorder

pytestmark = pytest.mark.slow
COUNT = 8


@pytest.fixture(scope="module")
def command(tiny_model, slow_photos):
    """`command(out, ...)`: the words of a run over the slow photographs."""
    words = [sys.executable, "-m", "stego_cli", "segment", slow_photos, "--model", tiny_model]
    return lambda out, *more: [*map(str, [*words, "--out", out, *more])]


@pytest.fixture(scope="module")
def expected(command, tmp_path_factory):
    """The masks of one process."""
    out = tmp_path_factory.mktemp("one")
    subprocess.run(command(out, "--res", 560), capture_output=True, timeout=PATIENCE)
    assert len(contents(out)) == COUNT
    return contents(out)


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("**/*.png")}


def journal(out):
    lines = (out / ".stego/journal.jsonl").read_text().splitlines()
    return {entry["path"]: entry["status"] for entry in map(json.loads, lines)}


def begun(words):
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def first_worker(out, run):
    """The number of the process that gets the photographs first; it has written two masks, and more are to come.

    The other one gets at most the last photograph.
    """
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and run.poll() is None:
        for file in out.glob(".stego/workers/*/journal.jsonl"):
            if file.read_text().count('"done"') >= 2:
                return int(file.parent.name.rsplit("-", 2)[1])
        time.sleep(0.02)
    raise AssertionError(f"no process has done anything: {run.communicate()}")


def test_masks_and_journal_are_those_of_one_process_though_one_is_killed(command, expected, tmp_path):
    run = begun(command(tmp_path, "--res", 560, "--processes", 2, "--json"))
    os.kill(first_worker(tmp_path, run), signal.SIGKILL)
    out, err = run.communicate(timeout=PATIENCE)
    events = [json.loads(line) for line in out.splitlines()]
    assert run.returncode == 3, err
    assert contents(tmp_path) == expected
    assert journal(tmp_path) == {
        **{event["path"]: event["status"] for event in events if event["event"] == "photograph"}
    }
    assert sorted(journal(tmp_path).values()) == ["done"] * COUNT + ["failed"]
    assert "its photographs are tried again" in out
    assert not (tmp_path / ".stego/workers").exists()
    assert list(tmp_path.glob("**/*.tmp")) == []


def test_ctrl_c_of_the_terminal_keeps_what_was_begun_and_the_same_command_does_the_rest(command, expected, tmp_path):
    words = command(tmp_path, "--res", 560, "--processes", 2)
    run = begun(words)
    first_worker(tmp_path, run)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, err
    done = [path for path, status in journal(tmp_path).items() if status == "done"]
    assert 0 < len(done) == len(contents(tmp_path))
    again = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 3
    assert contents(tmp_path) == expected


@pytest.fixture
def outcomes(tmp_path):
    """`outcomes(task, *paths)`: those of two processes, by path, and what is told of the run."""

    def run(task, *paths):
        settings, told = SegmentSettings(tmp_path, tmp_path / "out", processes=2), Recorder()
        work = Work(DeadlyWorker(), task, tmp_path / "model.onnx", ("cuda:0", "cuda:1"), settings, told)
        return {each.entry.path: each.entry for each in masks(work, map(Item, paths), lambda: False)}, told

    return run


def test_an_item_at_which_processes_die_fails_alone(outcomes):
    names = [f"{index:03}" for index in range(300)]
    names[150] = "deadly"
    found, told = outcomes(DeadlyTask(), *names)
    assert found.keys() == set(names)
    assert [entry.path for entry in found.values() if entry.status == "failed"] == ["deadly"]
    assert found["deadly"].error == "worker processes died at it"
    assert len({entry.mask for entry in found.values()}) >= 3  # two processes, and one in the place of the dead
    assert {"on cuda:0", "on cuda:1"} <= set(told.warnings)


def test_a_model_that_no_process_can_use_ends_the_run(outcomes):
    with pytest.raises(ModelError, match="not a model") as caught:
        outcomes(DeadlyTask(refused=True), "a", "b")
    assert caught.value.remedy == "Export it again."


def test_an_error_that_ends_the_run_is_told_as_by_one_process(stego, tiny_model, photos_folder, tmp_path):
    options = ("--out", tmp_path / "masks", "--model", tiny_model, "--processes", 2)
    refused = stego("segment", photos_folder, *options, "--engine", "ray")
    assert refused.returncode == 2
    assert "--processes is for one machine" in " ".join(refused.stderr.split())
