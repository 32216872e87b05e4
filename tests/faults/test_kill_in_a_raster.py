"""A run that is killed inside one raster goes on with the windows that it lacks."""

from __future__ import annotations

import os
import signal
import time

from tests.sources.conftest import fields, write_raster
from tests.support.processes import PATIENCE


def test_killed_in_the_middle_and_resumed_it_gives_the_same_bytes(start, tmp_path):
    photos = tmp_path / "in"
    photos.mkdir()
    write_raster(photos / "town.tif", fields(900, 1300))
    whole = start(photos, tmp_path / "whole", "--workers", 1)
    assert whole.end()[0] == 0
    killed = start(photos, tmp_path / "masks", "--workers", 1)
    end = time.monotonic() + PATIENCE
    while sum(file.read_bytes().count(b"\n") for file in tmp_path.glob("masks/.stego/parts/*/parts.jsonl")) < 3:
        assert killed.process.poll() is None, killed.process.communicate()
        assert time.monotonic() < end
        time.sleep(0.005)
    killed.signal(signal.SIGKILL)
    killed.end()
    assert not (tmp_path / "masks/town.tif").exists()
    code, said = start(photos, tmp_path / "masks", "--workers", 1).end()
    assert code == 0, said
    assert "windows are done already" in said
    assert (tmp_path / "masks/town.tif").read_bytes() == (tmp_path / "whole/town.tif").read_bytes()
    assert not os.listdir(tmp_path / "masks/.stego/parts")  # noqa: PTH208  (a list of names)
