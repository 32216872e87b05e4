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
    captured = contextlib.ExitStack()
    for each in (contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
        captured.enter_context(each)
    with captured, pytest.raises(SystemExit) as end:
        app(list(map(str, words)), prog_name="stego")
    return subprocess.CompletedProcess(words, int(end.value.code or 0), out.getvalue(), err.getvalue())
