"""Signals as a question that long work asks between two steps, so that nothing is torn in the middle.

The first SIGINT, or SIGTERM, asks for an end; a second SIGINT ends at once by KeyboardInterrupt.
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
    """A context manager that holds SIGINT and SIGTERM back; outside one, `requested` stays None.

    Attributes:
        requested: exit code that the first signal asks for, or None.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[signal.Signals, object] = {}

    def check(self) -> None:
        """Raise Stopped if a signal has come.

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


NEVER = Stop()  # one that nobody enters, and so never stops: for callers who have signals to themselves


def leave(code: int) -> NoReturn:
    """End the process at once; threads in the middle of something are not waited for, as Python otherwise would."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
