"""The real command under hostile conditions: limits set before it starts, signals while it runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.processes import PATIENCE
from tests.support.stopped_runs import COUNT

# The command is replaced into the process that sets the limits, as a shell would do it.
_EXEC = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'stego_cli', *sys.argv[1:]])"
# The number of photographs that are ahead of the masks grows with the cores; two make the tests alike everywhere.
_TWO_CORES = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])"
# Root may read and write everything; without these two capabilities it is an ordinary user before its own files.
AS_ORDINARY_USER = """
import ctypes
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
"""


class Started:
    """A run of `stego segment` in a process group of its own."""

    def __init__(self, command: list[str], out: Path) -> None:
        self.out = out
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self.process.pid

    def wait_for(self, entries: int) -> None:
        """Wait until the journal has this many entries."""
        file, end = self.out / ".stego/journal.jsonl", time.monotonic() + PATIENCE
        while not file.exists() or file.read_bytes().count(b"\n") < entries:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end, "the run makes no progress"
            time.sleep(0.005)

    def wait_until_said(self, text: str) -> None:
        """Wait for a line of standard error that contains `text`."""
        assert self.process.stderr is not None
        while text not in (line := self.process.stderr.readline()):
            assert line, "the run has ended"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, as a terminal does."""
        os.killpg(self.pid, number)

    def workers(self) -> list[int]:
        """Return the ids of the refining processes."""
        children = [
            int(child)
            for task in Path(f"/proc/{self.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]

    def end(self) -> tuple[int, str]:
        """Wait for the end; return exit code and standard error."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@pytest.fixture
def start(tiny_model: Path) -> Iterator[Callable[..., Started]]:
    """`start(photos, out, *arguments)`: a run that goes on beside the test."""
    runs: list[Started] = []

    def begin(photos: Path, out: Path, *arguments: object) -> Started:
        prelude = [sys.executable, "-c", f"{_TWO_CORES}\n{_EXEC}"]
        words = ["segment", photos, "--out", out, "--model", tiny_model, *arguments]
        runs.append(Started([*prelude, *map(str, words)], out))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.signal(signal.SIGKILL)
        run.process.communicate()


@pytest.fixture
def segment(
    tiny_model: Path, stego: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`segment(photos, out, *arguments)` with the tiny model and no CRF: the whole command, in this process."""

    def run(photos: object, out: object, *arguments: object) -> subprocess.CompletedProcess[str]:
        return stego("segment", photos, "--out", out, "--model", tiny_model, "--no-crf", *arguments)

    return run


@pytest.fixture
def segment_after(tiny_model: Path) -> Callable[..., Any]:
    """`segment_after(prelude, photos, out, *arguments)`: the command in a process that first ran `prelude`."""

    def run(prelude: str, photos: object, out: object, *arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["segment", photos, "--out", out, "--model", tiny_model, "--no-crf", *arguments]
        command = [sys.executable, "-c", f"{prelude}\n{_EXEC}", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)

    return run


@pytest.fixture
def as_ordinary_user(segment_after: Callable[..., Any]) -> Callable[..., Any]:
    """`as_ordinary_user(photos, out, ...)`: the command with no more rights than the owner of the files has."""
    return lambda *arguments: segment_after(AS_ORDINARY_USER if os.geteuid() == 0 else "", *arguments)


@pytest.fixture(scope="session")
def original_many(tmp_path_factory: pytest.TempPathFactory, photos_folder: Path) -> Path:
    """Photographs that no test changes, enough for a run with CRF to last a while."""
    folder = tmp_path_factory.mktemp("many")
    with Image.open(photos_folder / "lake.jpg") as lake:
        for index in range(COUNT):
            lake.crop((index, 0, index + 224, 224)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture
def many(tmp_path: Path, original_many: Path) -> Path:
    """A copy of those for the test alone."""
    return shutil.copytree(original_many, tmp_path / "many")


@pytest.fixture
def journal() -> Callable[[Path], dict[str, dict[str, Any]]]:
    """`journal(out)`: the last entry of each photograph; every line must parse."""

    def read(out: Path) -> dict[str, dict[str, Any]]:
        lines = (out / ".stego/journal.jsonl").read_text(encoding="utf-8").splitlines()
        return {entry["path"]: entry for entry in map(json.loads, lines)}

    return read
