"""`python -m stego_cli` and the console script `stego`."""

from __future__ import annotations

import errno
import os
import sys

from stego_cli.stop import end_on_signals

_NOT_WRITTEN = (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF)


def main() -> None:
    """Run the command line; ends the process with one of the documented exit codes."""
    end_on_signals()  # from the first import on; commands that finish what they have begun take signals over
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # it may have been closed before the start
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # they are text files here
    try:
        from stego_cli.app import app
        from stego_cli.machine import calm_threads

        calm_threads()
        app(prog_name="stego")
    except OSError as error:
        if error.filename is None and error.errno in _NOT_WRITTEN:
            os._exit(6)  # help or a message of the parser cannot be written, nor can this
        raise


if __name__ == "__main__":
    main()
