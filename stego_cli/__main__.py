"""`python -m stego_cli` and the console script `stego`."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_NOT_WRITTEN = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF)
_PATIENCE = 1.5  # seconds from a signal to the end of the process, whatever hinders it
_exit_code: int | None = None  # of the signal that has arrived


def main() -> None:
    """Run the command line; ends the process with one of the documented exit codes."""
    # From the first import on. Commands that finish what they have begun take signals over (`stop.Stop`).
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, _end)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it may have been closed before the start
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here
    try:
        from stego_cli.app import app
        from stego_cli.machine import calm_threads

        calm_threads()
        app(prog_name="stego")
    except BaseException as error:
        if _exit_code is not None:  # libraries turn an interrupted import into errors of their own
            os._exit(_exit_code)
        if isinstance(error, OSError) and error.filename is None and error.errno in _NOT_WRITTEN:
            os._exit(6)  # help or a message of the parser cannot be written, nor can this
        raise


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through all that cleans up after itself, as long as that does not take long."""
    import threading

    global _exit_code
    _exit_code = 128 + number
    timer = threading.Timer(_PATIENCE, os._exit, [_exit_code])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt(_exit_code)


if __name__ == "__main__":
    main()
