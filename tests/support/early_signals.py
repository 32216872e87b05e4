"""Signals to a command before its first mask."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

MAIN = """
from stego_cli import __main__ as module
begin = module.end_on_signals
module.end_on_signals = lambda: (begin(), print(flush=True))  # before that a signal is the interpreter's
module.main()
"""


def seconds_to_the_end(process: subprocess.Popen[str], number: int) -> tuple[float, str, str]:
    """Send a signal; return the seconds until the end, and standard output and error."""
    process.send_signal(number)
    sent = time.monotonic()
    out, said = process.communicate(timeout=60)
    # The second term counts on a busy machine alone, where the process waits for a core like all others.
    return (time.monotonic() - sent) / max(1, os.getloadavg()[0] / (os.cpu_count() or 1)), out, said


def start(program: str, *words: object, cwd: Path, **env: str) -> subprocess.Popen[str]:
    """Start a program of Python."""
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ends_at_once(folder: Path, photos: Path, number: int, code: int, after: float) -> None:
    """A signal comes so many seconds after the start: the command ends with `code`, and leaves nothing behind."""
    process = start(MAIN, "segment", photos, "--out", "masks", cwd=folder)
    process.stdout.readline()
    time.sleep(after)
    seconds, _, said = seconds_to_the_end(process, number)
    assert process.returncode == code, said
    assert seconds < 2
    assert said.endswith("Stopped at once.\n")
    assert "Traceback" not in said
    assert not list(folder.rglob(".stego-*"))
