"""The command in the tests' own process: a process of its own takes seconds for importing torch."""

from __future__ import annotations

import contextlib
import io
import subprocess
from pathlib import Path

import pytest

from stego_cli.app import app


def stego_in(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the whole command in `folder`, for fixtures that live longer than a test; a test has the fixture `stego`."""
    out, err = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)
    with contextlib.chdir(folder), streams[0], streams[1], pytest.raises(SystemExit) as end:
        app(list(map(str, words)), prog_name="stego")
    return subprocess.CompletedProcess(words, int(end.value.code or 0), out.getvalue(), err.getvalue())
