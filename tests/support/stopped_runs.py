"""Runs of `stego segment` that are stopped or lose a worker, and what must be true of them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stego_cli.images.atomic import sha256
from tests.support.processes import PATIENCE

COUNT = 16  # photographs
# Each photograph takes long enough to be interrupted. One engine refines in threads, the other in worker processes.
THREADS = ("--res", "364", "--crf-engine", "cpu")
PROCESSES = ("--res", "210", "--crf-engine", "pydensecrf")

Start = Callable[..., Any]  # of tests/faults/conftest.py
Journal = Callable[[Path], dict[str, dict[str, Any]]]


def contents(out: Path) -> dict[Path, bytes]:
    """Return the masks below a folder."""
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*.png")}


def assert_whole(out: Path, journal: Journal) -> int:
    """Hold each mask against its entry in the journal; return their number."""
    entries = journal(out)
    for entry in entries.values():
        assert sha256(out / entry["mask"]) == entry["sha256"]
    return len(entries)


def _alive(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())  # a dead one that nobody waited for has none
    except OSError:
        return False


def assert_no_worker_outlives(workers: list[int]) -> None:
    """Wait for the workers of a killed run to end."""
    end = time.monotonic() + PATIENCE
    while any(_alive(worker) for worker in workers):
        assert time.monotonic() < end, "a worker of a killed run lives on"
        time.sleep(0.02)


def a_signal_lets_what_has_begun_finish(
    photos: Path, start: Start, journal: Journal, how: tuple[str, ...], number: int, code: int
) -> None:
    """A signal comes early: the run ends whole with `code`, and the same command does the rest."""
    out = photos.with_name("masks")
    run = start(photos, out, *how)
    run.wait_for(2)
    run.signal(number)
    ended, said = run.end()
    assert ended == code
    assert "Traceback" not in said
    assert "Error" not in said
    assert "The same command does the rest." in said
    done = assert_whole(out, journal)
    assert 2 <= done < COUNT
    assert len(contents(out)) == done
    assert not list(out.rglob("*.tmp"))
    code, said = start(photos, out, *how).end()
    assert code == 0
    assert f"{done} of {COUNT} photographs have their masks already" in said
    assert assert_whole(out, journal) == COUNT


def no_worker_dies_of_ctrl_c(photos: Path, start: Start, delay: float) -> None:
    """Ctrl-C comes so many seconds after the journal was opened, while workers start."""
    out = photos.with_name("masks")
    run = start(photos, out, *PROCESSES)
    run.wait_for(0)  # the journal is opened just before the first photograph is read
    time.sleep(delay)
    run.signal(signal.SIGINT)
    code, said = run.end()
    assert code == 130
    assert "Traceback" not in said
    assert "died" not in said


def photographs_of_killed_workers_are_done(
    photos: Path, start: Start, journal: Journal, victims: int
) -> dict[Path, bytes]:
    """One worker or both are killed: the run does all; return its masks."""
    out = photos.with_name("masks")
    run = start(photos, out, *PROCESSES)
    run.wait_for(3)
    workers = run.workers()
    assert len(workers) == 2
    for worker in workers[:victims]:
        os.kill(worker, signal.SIGKILL)
    code, said = run.end()
    assert code == 0, said
    assert "A worker process died" in said
    assert assert_whole(out, journal) == COUNT
    return contents(out)
