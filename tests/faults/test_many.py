"""Very many photographs: a run begins at once, and its memory does not grow with their number."""

import io
import json
import subprocess
import sys

import pytest
from PIL import Image

from tests.support.processes import cpu_seconds, resident_mb

pytestmark = pytest.mark.slow

COUNT, EARLY = 5000, 1000


@pytest.fixture
def photos(tmp_path):
    """5,000 pictures of 16 x 16, PNG and JPEG, in folders of 500."""
    contents = {}
    for kind in ("PNG", "JPEG"):
        for shade in range(50):
            stream = io.BytesIO()
            Image.new("RGB", (16, 16), (5 * shade, 250 - 5 * shade, 40)).save(stream, kind)
            contents[kind, shade] = stream.getvalue()
    for index in range(COUNT):
        folder = tmp_path / f"photos/{index // 500}"
        folder.mkdir(parents=True, exist_ok=True)
        kind = ("PNG", "JPEG")[index % 2]
        (folder / f"{index}.{kind.lower()}").write_bytes(contents[kind, index % 50])
    return tmp_path / "photos"


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's memory from /proc")
def test_memory_is_flat_from_the_first_thousand_to_the_last_and_the_start_takes_seconds(
    tmp_path, photos, tiny_model, journal
):
    out = tmp_path / "masks"
    words = ["segment", photos, "--out", out, "--model", tiny_model, "--res", 28, "--no-crf", "--json"]
    command = [sys.executable, "-m", "stego_cli", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        done, memory = 0, {}
        for line in process.stdout:
            if json.loads(line)["event"] != "photograph":
                continue
            if done == 0:
                start = cpu_seconds(process.pid)
            done += 1
            if done in (EARLY, COUNT - 10):  # a little before the end: it is still there to be asked
                memory[done] = resident_mb(process.pid)
    assert process.returncode == 0
    assert done == COUNT
    assert start < 5  # of CPU time: the start does not wait for the whole tree
    early, late = memory.values()
    # The allocator takes 1.3 MB of its own; journal entries kept in memory would be 2.4 MB more.
    assert late - early < 3
    assert len(journal(out)) == sum(1 for _ in out.rglob("*.png")) == COUNT
