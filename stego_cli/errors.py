"""Every way in which a command can end other than well, with its exit code.

    StegoError (1)
    ├── UsageError (2)          flags or settings that do not fit together
    ├── NoInputError (4)        nothing to work on
    │   └── SourceError (4)     a data set's archive or folder is not what it should be, or not to be had
    ├── ModelError (5)          model or weights refused
    │   └── WeightsError (5)    backbone weights could not be had
    ├── OutputError (6)         the output cannot be written
    ├── Stopped (130 or 143)    a signal ended the run; what was done is kept
    └── PhotoError              one photograph cannot be used: recorded, never ends a run

Exit codes 0 (all done) and 3 (finished, some inputs failed) are results, not errors.
"""

from __future__ import annotations

EXIT_SOME_FAILED = 3


class StegoError(Exception):
    """An error with a sentence for the user: what is wrong, and (`remedy`) what to do about it."""

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(StegoError):
    """The command line, or a setting, cannot be meant as it stands."""

    exit_code = 2


class NoInputError(StegoError):
    """There is no photograph to work on."""

    exit_code = 4


class SourceError(NoInputError):
    """An archive or folder of a data set is missing, broken, malicious, or of another data set."""


class ModelError(StegoError):
    """A model file or checkpoint is unreadable, breaks the contract, or failed its parity check."""

    exit_code = 5


class WeightsError(ModelError):
    """The weights of a backbone are missing and could not be fetched, or are not what they should be."""


class OutputError(StegoError):
    """The output folder cannot be written: read-only, full, or in use by another run."""

    exit_code = 6


class Stopped(StegoError):  # noqa: N818  (a signal is not an error of anything)
    """SIGINT (130) or SIGTERM (143) ended the run early."""

    def __init__(self, exit_code: int, message: str, remedy: str | None = None) -> None:
        super().__init__(message, remedy)
        self.exit_code = exit_code


class PhotoError(StegoError):
    """One photograph cannot be decoded or refined; the run records it and goes on."""
