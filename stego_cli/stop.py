"""SIGINT and SIGTERM as a flag that long work checks between two steps, so that no step is interrupted.

The first signal requests the end; a second SIGINT raises KeyboardInterrupt at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from stego_cli.errors import Stopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Stop:
    """A context manager that records SIGINT and SIGTERM; if it is never entered, `requested` stays None.

    Attributes:
        requested: exit code of the first signal, or None.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[signal.Signals, object] = {}

    def check(self) -> None:
        """Raise Stopped if a signal has arrived.

        Raises:
            Stopped: with that signal's exit code.
        """
        if self.requested is not None:
            raise Stopped(self.requested, "Stopped.")

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in EXIT_CODES}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned, it takes back

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = EXIT_CODES[signal.Signals(number)]


NEVER = Stop()  # is never entered, so it never stops anything: for callers who handle signals themselves


def leave(code: int) -> NoReturn:
    """End the process at once, without waiting for threads, as Python otherwise would."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
