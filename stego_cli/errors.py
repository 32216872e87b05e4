"""Every way in which a task can end other than well, with the exit code that a command gives it.

    StegoError (1)
    ├── UsageError (2)          settings that do not make sense, alone or together
    ├── NoInputError (4)        nothing to work on
    │   └── SourceError (4)     a data set's archive or folder is missing, or is not what it should be
    ├── ModelError (5)          model or weights refused
    │   └── WeightsError (5)    backbone weights could not be had
    ├── OutputError (6)         the output cannot be written
    │   └── RefusedNameError    one file of it cannot have its name; also a PhotoError
    ├── Stopped (130 or 143)    a signal ended the run; what was done is kept
    └── PhotoError              one photograph cannot be used: recorded, never ends a run

Exit codes 0 (all done) and 3 (finished, some inputs failed) are results, not errors.

Code below the commands names settings, never flags: the error about a setting has it as `field`, and a text that
mentions one marks it with `setting`. A command shows them as its own flags (`--batch-size 4`), Python as keywords
(`batch_size=4`):

    raise UsageError(f"must be 2 to 256, got {classes}", field="classes")
    raise UsageError(f"{file} has a class list of its own.", f"Leave out {setting('classes')}.")
    raise OutputError(f"{file} is there already.", f"Give {setting('overwrite', True)} to replace it.")
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

EXIT_SOME_FAILED = 3

# Characters of Unicode's private use area: no message and no file name has them by accident.
_MARK = re.compile("\ue000([a-z_]+)(?:=(.*?))?\ue001", re.DOTALL)

SettingName = Callable[[str, object], str]  # from a setting's name and value (None: the name alone) to its text


def setting(name: str, value: str | float | None = None) -> str:
    """Return a mark that stands for a setting in the text of an error.

    Args:
        name: of the settings field, which is the keyword in Python.
        value: the value to give it, if the text is about one.
    """
    return f"\ue000{name}\ue001" if value is None else f"\ue000{name}={json.dumps(value)}\ue001"


def in_python(name: str, value: object = None) -> str:
    """Return a setting as Python code has it: `name`, or `name=value`."""
    return name if value is None else f"{name}={value!r}"


class StegoError(Exception):
    """An error in words for the user: what is wrong, and what to do about it.

    `str(error)` has all of it, with settings as Python's keywords; `told` writes them in another way.

    Args:
        message: what is wrong, a sentence in which settings are marked (`setting`).
        remedy: what to do, likewise; None if there is no more to say.
        field: the name of the setting that the message is about; None if it is about none, or several.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self._marked = message, remedy or ""

    @property
    def message(self) -> str:
        """What is wrong."""
        return self.told()[0]

    @property
    def remedy(self) -> str | None:
        """What to do about it; None if there is no more to say."""
        return self.told()[1] or None

    def told(self, name: SettingName = in_python) -> tuple[str, str]:
        """Return message and remedy (empty if there is none), with settings as `name` writes them."""

        def named(match: re.Match[str]) -> str:
            return name(match[1], None if match[2] is None else json.loads(match[2]))

        prefix = "" if self.field is None else f"{name(self.field, None)}: "
        message, remedy = (_MARK.sub(named, text) for text in self._marked)
        return f"{prefix}{message}", remedy

    def __str__(self) -> str:
        message, remedy = self.told()
        return f"{message.removesuffix('.')}. {remedy}" if remedy else message


class UsageError(StegoError):
    """A setting has a value that makes no sense, or settings do not fit together."""

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
        self.args = exit_code, message  # what pickle makes a copy from
        self.exit_code = exit_code


class PhotoError(StegoError):
    """One photograph cannot be decoded or refined; the run records it and goes on.

    Its message goes into journals and reports as it is, so it mentions no settings.
    """


class RefusedNameError(OutputError, PhotoError):
    """The file system refuses a file's name: that one cannot be written, others can."""
