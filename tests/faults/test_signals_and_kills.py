"""Runs that are stopped, killed, doubled, or lose a worker: nothing torn, nothing lost, nothing done twice."""

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.stopped_runs import (
    COUNT,
    PROCESSES,
    THREADS,
    a_signal_lets_what_has_begun_finish,
    assert_no_worker_outlives,
    assert_whole,
    contents,
    no_worker_dies_of_ctrl_c,
    photographs_of_killed_workers_are_done,
)

# Other signals, moments and numbers of victims: benchmarks/checks/test_stopped_runs.py.
pytestmark = pytest.mark.slow

THREADS_AND_PROCESSES = [
    pytest.param(THREADS, id="threads"),
    pytest.param(PROCESSES, id="processes", marks=pytest.mark.pydensecrf),
]


@pytest.fixture(scope="module")
def undisturbed(original_many, tmp_path_factory, tiny_model):
    """`undisturbed(how)`: the masks of a run to which nothing happens."""

    @functools.cache
    def run(how):
        out = tmp_path_factory.mktemp("undisturbed")
        words = ["segment", original_many, "--out", out, "--model", tiny_model, *how]
        subprocess.run([sys.executable, "-m", "stego_cli", *map(str, words)], check=True, capture_output=True)
        return contents(out)

    return run


@pytest.mark.parametrize("how", THREADS_AND_PROCESSES)
def test_killed_runs_resume_to_the_same_bytes_and_redo_nothing_finished(
    many, tmp_path, start, journal, undisturbed, how
):
    out = tmp_path / "masks"
    finished = {}
    for entries in (1, 6, 11):
        run = start(many, out, *how)
        run.wait_for(entries)
        workers = run.workers()
        assert len(workers) == (2 if how == PROCESSES else 0)
        run.process.kill()  # the main process alone: its workers must see for themselves
        assert run.end()[0] == -signal.SIGKILL
        for path, when in finished.items():
            assert path.stat().st_mtime_ns == when
        assert_no_worker_outlives(workers)
        finished = {}
        for line in (out / ".stego/journal.jsonl").read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                mask = out / json.loads(line)["mask"]
                finished[mask] = mask.stat().st_mtime_ns
    last = start(many, out, *how)
    code, said = last.end()
    assert code == 0
    assert f"{len(finished)} of {COUNT} photographs have their masks already" in said
    assert all(path.stat().st_mtime_ns == when for path, when in finished.items())
    assert contents(out) == undisturbed(how)
    assert assert_whole(out, journal) == COUNT
    assert not list(out.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("number", "code", "how"),
    [(signal.SIGINT, 130, THREADS), pytest.param(signal.SIGTERM, 143, PROCESSES, marks=pytest.mark.pydensecrf)],
)
def test_one_signal_lets_what_has_begun_finish_and_the_same_command_does_the_rest(
    many, start, journal, number, code, how
):
    a_signal_lets_what_has_begun_finish(many, start, journal, how, number, code)


@pytest.mark.parametrize("engine", ["cpu", pytest.param("pydensecrf", marks=pytest.mark.pydensecrf)])
def test_a_second_ctrl_c_ends_at_once_without_a_traceback(many, tmp_path, start, journal, engine):
    run = start(many, tmp_path / "masks", "--res", "784" if engine == "cpu" else "448", "--crf-engine", engine)
    run.wait_for(1)
    run.signal(signal.SIGINT)
    run.wait_until_said("Stopping: what has begun is finished.")
    began = time.monotonic()
    run.signal(signal.SIGINT)
    code, said = run.end()
    assert code == 130
    assert time.monotonic() - began < 2 * max(1, os.getloadavg()[0] / 2)  # 2 s on a machine that is not busy
    assert "Traceback" not in said
    assert 1 <= assert_whole(tmp_path / "masks", journal) < COUNT


@pytest.mark.pydensecrf
def test_ctrl_c_while_workers_start_kills_none_of_them(many, start):
    no_worker_dies_of_ctrl_c(many, start, 0.15)


@pytest.mark.pydensecrf
def test_a_killed_worker_is_noticed_and_its_photographs_are_done(many, start, journal, undisturbed):
    assert photographs_of_killed_workers_are_done(many, start, journal, 1) == undisturbed(PROCESSES)


@pytest.mark.pydensecrf
def test_workers_that_die_again_and_again_give_up_their_photographs_and_the_run_ends(many, tmp_path, start):
    run = start(many, tmp_path / "masks", *PROCESSES, "--workers", "1")
    run.wait_for(1)
    while run.process.poll() is None:
        for worker in run.workers():
            os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
    code, said = run.end()
    assert code == 3
    assert "a worker process died at it twice" in said
    assert "Traceback" not in said


@pytest.mark.pydensecrf
def test_a_second_run_on_one_output_is_refused_by_name_of_the_first(many, tmp_path, start, segment):
    run = start(many, tmp_path / "masks", *PROCESSES)
    run.wait_for(1)
    second = segment(many, tmp_path / "masks")
    assert second.returncode == 6
    assert f"process {run.pid} on " in second.stderr
    assert run.end()[0] == 0
    assert len(contents(run.out)) == COUNT
