"""A run that two processes share, as torchrun starts them: stopped by a signal to one of them, and gone on with."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch

from stego_cli.errors import Stopped
from stego_cli.machine import calm_threads
from stego_cli.progress import Quiet
from stego_cli.settings import TrainSettings
from stego_cli.stop import Stop
from tests.support.two_processes import free_ports, run_twice

ROOT = Path(__file__).parents[2]
STEPS, STOPPED_AT = 10, 3
FILES = ("model.safetensors", "config.json", "metrics.jsonl", "report.html")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, real_weights: Path) -> Path:
    """A folder with the runs "whole" and "stopped", and what each process said of the latter's first part."""
    folder = tmp_path_factory.mktemp("two")
    run_twice(__file__, folder, *free_ports(3))
    return folder


def test_a_signal_to_one_process_stops_both_and_says_that_the_run_is_unfinished(folder: Path) -> None:
    code, step, unfinished = json.loads((folder / "0.json").read_text())
    assert code == 143
    assert STOPPED_AT <= step < STEPS
    assert unfinished
    assert json.loads((folder / "1.json").read_text())[:2] == [None, step]


def test_a_resumed_run_of_two_processes_ends_with_the_bytes_of_an_undisturbed_one(folder: Path) -> None:
    for file in FILES:
        assert (folder / "stopped" / file).read_bytes() == (folder / "whole" / file).read_bytes(), file
    lines = (folder / "stopped" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))
    assert not (folder / "stopped" / "resume.safetensors").exists()


class Interrupting(Quiet):
    """Sends the second process a signal at a step; only the first is told of steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def event(self, kind: str, **fields: object) -> None:
        if kind == "step" and fields["step"] == STOPPED_AT:
            os.kill(int((self._folder / "pid").read_text()), signal.SIGTERM)


def in_one_process(folder: Path, ports: list[str]) -> None:
    """Train, be stopped, resume; each time the processes meet at another port, so that none comes to a meeting past."""
    from stego_cli.training.run_folder import RunOptions
    from stego_cli.training.train import train

    rank = os.environ["RANK"]
    if rank == "1":
        (folder / "pid").write_text(str(os.getpid()))
    paths = sorted((ROOT / "tests" / "photos").glob("*.jpg"))[:3]
    settings = TrainSettings(res=56, steps=STEPS, points=5, restarts=1, classes=4, block=1, device="cpu")
    os.environ["MASTER_PORT"] = ports[0]
    train(paths, folder / "whole", settings, Quiet(), Stop())
    os.environ["MASTER_PORT"] = ports[1]
    run, code = folder / "stopped", None
    try:
        with Stop() as stop:
            train(paths, run, settings, Interrupting(folder), stop)
    except Stopped as stopped:
        code = stopped.exit_code
    done = json.loads((run / "config.json").read_text())["steps_done"]
    (folder / f"{rank}.json").write_text(json.dumps([code, done, (run / "resume.safetensors").exists()]))
    os.environ["MASTER_PORT"] = ports[2]
    train(paths, run, settings, Quiet(), Stop(), options=RunOptions(resume=True))


if __name__ == "__main__":  # one of the two processes
    calm_threads()
    torch.set_num_threads(1)
    in_one_process(Path(sys.argv[1]), sys.argv[2:])
