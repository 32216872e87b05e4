"""What tests of commands share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stego_cli.app import app


@pytest.fixture
def stego(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`stego("score", ...)`: the whole command in this process, for speed, in the folder tmp_path."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            app(list(map(str, words)), prog_name="stego")
        streams = capfd.readouterr()
        return subprocess.CompletedProcess(words, end.value.code, streams.out, streams.err)

    return run
