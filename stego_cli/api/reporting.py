"""Where a call from Python reports to."""

from __future__ import annotations

import os
from typing import Literal

from stego_cli.machine import calm_threads
from stego_cli.progress import Progress, Quiet

PathName = str | os.PathLike[str]
Reporting = Progress | Literal[False] | None


def reporter(progress: Reporting) -> Progress:
    """Return what a task reports to: None: the console or notebook, on standard error; False: nowhere."""
    calm_threads()  # every task begins here, before it imports torch
    if progress is None:
        from stego_cli.ui import Ui

        return Ui()
    return Quiet() if progress is False else progress
