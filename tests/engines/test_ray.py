"""`--engine ray` on a real cluster: the masks of one machine, byte for byte, whichever process dies on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import PATIENCE
from tests.support.ray_cluster import ENV

pytestmark = pytest.mark.slow
COUNT = 8


@pytest.fixture(scope="module")
def command(tiny_model, slow_photos):
    """`command(out, ...)`: the words of a run over the slow photographs."""
    words = [sys.executable, "-m", "stego_cli", "segment", slow_photos, "--model", tiny_model, "--res", 560]
    return lambda out, *more: [*map(str, [*words, "--out", out, "--workers", 1, *more])]


@pytest.fixture(scope="module")
def expected(command, tmp_path_factory):
    """The masks of the local engine."""
    out = tmp_path_factory.mktemp("local")
    subprocess.run(command(out), env=ENV, capture_output=True, timeout=PATIENCE)
    assert len(contents(out)) == COUNT
    return contents(out)


@pytest.fixture
def on_ray(command, ray_address):
    """`on_ray(out)`: a run on the cluster, begun; its errors are read at the end."""

    def begin(out):
        words = command(out, "--engine", "ray", "--ray-address", ray_address)
        return subprocess.Popen(words, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return begin


def contents(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.glob("**/*.png")}


def entries(*files):
    return [
        json.loads(line) for file in files for line in file.read_text().splitlines(keepends=True) if line[-1] == "\n"
    ]


def first_journal(out, run, but=()):
    """The journal of a worker, as soon as a mask is in it."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and run.poll() is None:
        for journal in out.glob(".stego/workers/*/journal.jsonl"):
            if journal.parent.name not in but and any(entry["status"] == "done" for entry in entries(journal)):
                return journal
        time.sleep(0.02)
    raise AssertionError(f"no worker has done anything: {run.communicate()}")


def test_masks_are_those_of_one_machine_though_the_run_and_then_a_worker_are_killed(on_ray, expected, tmp_path):
    run = on_ray(tmp_path)
    journal = first_journal(tmp_path, run)
    run.kill()
    run.communicate()
    before = {entry["mask"]: (tmp_path / entry["mask"]).stat().st_mtime_ns for entry in entries(journal)}
    assert 0 < len(before) < COUNT

    again = on_ray(tmp_path)
    journal = first_journal(tmp_path, again, {journal.parent.name})
    assert len(contents(tmp_path)) < COUNT
    os.kill(int(journal.parent.name.rsplit("-", 2)[1]), signal.SIGKILL)
    out, err = again.communicate(timeout=PATIENCE)
    assert again.returncode == 3, err
    assert f"of {COUNT + 1} photographs have their masks already" in err
    assert "2 workers with a core each, on 2 machines" in err
    assert "tried again on another machine: 1." in err
    assert err.count("failed: bad.png: not a picture") == 1
    assert out == ""
    assert contents(tmp_path) == expected
    assert {mask: (tmp_path / mask).stat().st_mtime_ns for mask in before} == before
    last = {entry["path"]: entry["status"] for entry in entries(tmp_path / ".stego/journal.jsonl")}
    assert last == {**dict.fromkeys(expected, "done"), "bad.png": "failed"}
    assert not (tmp_path / ".stego/workers").exists()
    assert list(tmp_path.glob("**/*.tmp")) == []


def test_features_of_training_are_those_of_one_machine(ray_address, slow_photos):
    words = [sys.executable, str(Path(__file__).with_name("features_on_ray.py")), ray_address, str(slow_photos)]
    ended = subprocess.run(words, env=ENV, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    views, apart = ended.stdout.split()[1::2]
    assert int(views) == 5 * COUNT
    assert float(apart) < 0.02  # of values up to several: half precision, and other groups
