"""SIGINT and SIGTERM, and what may never outlive the process.

`end_on_signals` makes them end the command within two seconds at any moment, with nothing left behind. Work that has
results to keep takes them over with `Stop`: a flag that it checks between two steps, so that no step is interrupted.

Where nothing is to be kept the process ends where it stands, after the little that `on_leave` lists. An exception,
raised in the middle of a library's import, would be turned into other errors, or abort the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from stego_cli.errors import Stopped

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
_PATIENCE = 1.5  # seconds from a signal that ends the process to its end, whatever hinders that
_MESSAGE = "Stopped at once."
_SHOW_CURSOR = "\x1b[?25h"  # bars hide it


class Stop:
    """A context manager that records SIGINT and SIGTERM; if it is never entered, `requested` stays None.

    A second SIGINT raises KeyboardInterrupt. Inside `at_once` every signal ends the process.

    Attributes:
        requested: exit code of the first signal, or None.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._previous: dict[signal.Signals, object] = {}
        self._at_once = 0

    def check(self) -> None:
        """Raise Stopped if a signal has arrived.

        Raises:
            Stopped: with that signal's exit code.
        """
        if self.requested is not None:
            raise Stopped(self.requested, "Stopped.")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A part of the work in which a signal ends the process: it has nothing to keep, and may take long.

        Raises:
            Stopped: a signal has arrived before.
        """
        self.check()
        self._at_once += 1
        try:
            yield
        finally:
            self._at_once -= 1

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._handle) for number in EXIT_CODES}
            _entered.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned, it takes back
        if self in _entered:
            _entered.remove(self)

    def ends_at_once(self, number: int, earlier: bool) -> bool:
        """Return whether a signal is not only recorded; `earlier`: another has come before."""
        return bool(self._at_once) or (earlier and number == signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        earlier = self.requested is not None
        self.requested = self.requested or EXIT_CODES[signal.Signals(number)]
        if self.ends_at_once(number, earlier):
            if self._at_once and self._previous[signal.Signals(number)] is _end:
                _end(number, frame)
            raise KeyboardInterrupt(EXIT_CODES[signal.Signals(number)])


NEVER = Stop()  # is never entered, so it never stops anything: for callers who handle signals themselves
_entered: list[Stop] = []  # the one that takes signals now is the last
_last_acts: list[Callable[[], object]] = []  # what is to be done before the process ends, the last first
_leaving = threading.Lock()
_events: list[bool] = []  # not empty: standard output carries events


def end_on_signals() -> None:
    """Let SIGINT and SIGTERM end this process; call once, in the main thread, at its start.

    A handler of Python runs in the main thread between two steps of the interpreter. While a library computes, none
    runs: a thread of its own, woken by the system's handler, ends the process when that takes too long.
    """
    for number in EXIT_CODES:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _end)
    if sys.platform != "win32":  # there the system can only wake a socket
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True).start()


@contextmanager
def on_leave(act: Callable[[], object]) -> Iterator[None]:
    """A part of the work in which `act` is called if the process ends at once, such as to delete what is unfinished."""
    _last_acts.append(act)
    try:
        yield
    finally:
        _last_acts.remove(act)


@contextmanager
def temporary_folder(beside: Path, prefix: str) -> Iterator[Path]:
    """Give a new folder in `beside` that is deleted at the end of the block, and if a signal ends the process in it.

    Raises:
        OSError: it cannot be made.
    """
    import shutil
    import uuid

    folder = beside / f"{prefix}{uuid.uuid4().hex[:12]}"
    with on_leave(lambda: shutil.rmtree(folder, ignore_errors=True)):  # before it is made: a signal may come in between
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def leave(code: int) -> NoReturn:
    """End the process where it stands, with a line about it, without waiting for threads as Python otherwise would."""
    _leaving.acquire(blocking=False)  # held to the end: the timer's thread has nothing to add
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):  # in the middle of writing, even
            stream.flush()
    for act in reversed(_last_acts):
        with contextlib.suppress(Exception):
            act()
    # Past the streams, which may be locked by what was interrupted.
    with contextlib.suppress(OSError):
        os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}{_MESSAGE}\n".encode())
    with contextlib.suppress(OSError):
        if _events:
            event = {"event": "error", "message": _MESSAGE, "remedy": None, "exit_code": code}
            os.write(1, f"{json.dumps(event)}\n".encode())
    os._exit(code)


def tell_in_events() -> None:
    """Let `leave` write an event to standard output as well."""
    _events.append(True)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    leave(128 + number)


def _watch(reading: int) -> None:
    """Give the main thread some time after a signal that ends the process, however it spends it."""
    earlier = False
    while numbers := os.read(reading, 64):
        for number in numbers:
            if number in EXIT_CODES:
                if not _entered or _entered[-1].ends_at_once(number, earlier):
                    _end_later(128 + number)
                earlier = True


def _end_later(code: int) -> None:
    def end() -> None:
        if not _leaving.locked():
            leave(code)

    timer = threading.Timer(_PATIENCE, end)
    timer.daemon = True
    timer.start()
