"""All that the tool shows: people read standard error, machines read standard output.

Bars and colours appear on a terminal only. In a notebook a stage is a line that is written over; elsewhere it is
a line when it begins and one when it ends. With `--json`, standard output carries one JSON object a line and nothing
else.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO

from stego_cli.errors import OutputError, SettingName, StegoError, in_python
from stego_cli.text import displayed

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID
    from rich.table import Table

    from stego_cli.progress import Stage

_LONGEST_LINE, _LONGEST_CELL = 20_000, 160  # characters
_lost = False  # whether standard error could not take a message


class Ui:
    """A `stego_cli.progress.Progress` on the terminal, or in a notebook.

    Args:
        as_json: emit events on standard output.
        glance: seconds between two counts in a notebook.
    """

    def __init__(self, as_json: bool = False, glance: float = 0.5) -> None:
        self._json, self._glance = as_json, glance
        self.console = _console(stderr=True)

    def note(self, text: str) -> None:
        """Show something worth knowing."""
        self.event("note", text=text)
        self.line(text)

    def warn(self, text: str) -> None:
        """Show something that may spoil the result."""
        self.event("warning", text=text)
        self.line(f"Warning: {text}", style="yellow")

    def line(self, text: str, style: str | None = None) -> None:
        """Print a line for people; characters that would steer the terminal, as a file's name may hold, are escaped."""
        self._say(displayed(text, _LONGEST_LINE), style)

    def event(self, kind: str, **fields: object) -> None:
        """Emit one line of JSON, if they were asked for."""
        if self._json:
            write_line(json.dumps({"event": kind, **fields}))

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "") -> Iterator[Stage]:
        """Show a bar on a terminal, a growing count in a notebook, else a line at the beginning and one at the end."""
        self.event("stage", title=title, total=total, unit=unit)
        if total == 0:
            yield _Lines()
        elif self.console.is_terminal:
            with _bars(self.console, unit) as bars:
                yield _Bar(bars, bars.add_task(title, total=total, figures="", rate=""), unit)
        else:
            amount = (
                "" if total is None or unit == "B" else f" ({total} {unit.removesuffix('s') if total == 1 else unit})"
            )
            self.line(f"{title}{amount} ...")
            started = time.monotonic()
            lines = _Count(title, total, unit, self._glance) if _in_notebook() else _Lines()
            yield lines
            seconds = time.monotonic() - started
            self.line(f"{title}: {seconds:.1f} s{lines.figures}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], out: bool = False) -> None:
        """Show a table; `out`: on standard output, because it is what was asked for."""
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(displayed(title, _LONGEST_LINE)) if title else None,
            title_justify="left",
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
            show_header=any(columns),
        )
        for index, column in enumerate(columns):
            table.add_column(Text(column), justify="left" if index == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*[Text(displayed(cell, _LONGEST_CELL)) for cell in row])
        if not out:
            self._say(table)
        elif sys.stdout is not None:
            try:
                _console(stderr=False).print(table)
                sys.stdout.flush()
            except BrokenPipeError:
                _silence(sys.stdout)
            except OSError as error:
                raise _stdout_failure(error) from error

    def _say(self, what: Table | str, style: str | None = None) -> None:
        """Print for people. Where standard error takes no more, the work goes on, and ends with another exit code."""
        global _lost
        try:
            self.console.print(what, markup=False, style=style, soft_wrap=isinstance(what, str))
        except OSError:
            _lost = True
            _silence(sys.stderr)


class _Bar:
    """A bar with a rate of its own: rich has one for bytes alone, and photographs are counted in photographs/s."""

    def __init__(self, bars: RichProgress, task: TaskID, unit: str) -> None:
        self._bars, self._task, self._unit = bars, task, unit
        self._started, self._done = time.monotonic(), 0

    def advance(self, steps: int = 1, **figures: object) -> None:
        """Move the bar."""
        self._done += steps
        seconds = time.monotonic() - self._started
        fields: dict[str, object] = {"figures": "  ".join(f"{k} {v}" for k, v in figures.items())} if figures else {}
        if self._unit not in ("B", "") and seconds > 0:
            fields["rate"] = f"{self._done / seconds:.1f} {self._unit}/s"
        self._bars.update(self._task, advance=steps, **fields)  # type: ignore[arg-type]  # rich's fields are any


class _Lines:
    """Counts without drawing; keeps the last figures for the closing line."""

    def __init__(self) -> None:
        self.figures = ""

    def advance(self, steps: int = 1, **figures: object) -> None:
        """Keep the figures."""
        if figures:
            self.figures = "; " + ", ".join(f"{name} {value}" for name, value in figures.items())


class _Count(_Lines):
    """Counts in one line that is written over, since a notebook has no cursor to move."""

    def __init__(self, title: str, total: int | None, unit: str, glance: float) -> None:
        super().__init__()
        self._glance = glance
        self._title, self._unit, self._of = title, unit, "" if total is None else f" of {total}"
        self._done, self._shown = 0, time.monotonic()

    def advance(self, steps: int = 1, **figures: object) -> None:
        """Keep the figures; show the count, but not so often that it takes time."""
        super().advance(steps, **figures)
        self._done += steps
        if time.monotonic() - self._shown > self._glance:
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{self._title}: {self._done}{self._of} {self._unit}{self.figures}\r")
            sys.stderr.flush()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has it
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")


def _bars(console: Console, unit: str) -> RichProgress:
    from rich import progress

    middle: list[progress.ProgressColumn] = (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        if unit == "B"
        else [progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}", markup=False)]
    )
    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(24),
        *middle,
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[figures]}", markup=False),
        console=console,
    )


def _console(stderr: bool) -> Console:
    from rich.console import Console

    class Lasting(Console):
        def on_broken_pipe(self) -> None:  # rich's own ends the process
            _silence(sys.stderr if stderr else sys.stdout)

    # A notebook is a stream too: rich would write a block of HTML for each line there. Its streams call themselves
    # terminals, but cannot move a cursor.
    terminal = False if _in_notebook() else None
    return Lasting(stderr=stderr, highlight=False, emoji=False, force_jupyter=False, force_terminal=terminal)


def lost_messages() -> bool:
    """Return whether a message for people could not be written, other than to a reader that has gone away."""
    return _lost


def show_error(error: StegoError, name: SettingName = in_python, as_json: bool = False) -> None:
    """Show what went wrong and what to do about it.

    Args:
        error: what a task raised.
        name: writes the settings that the error mentions.
        as_json: also emit an event on standard output.
    """
    ui = Ui(as_json)
    message, remedy = error.told(name)
    with contextlib.suppress(OutputError):  # which may be the very error
        ui.event("error", message=message, remedy=remedy or None, exit_code=error.exit_code)
    if error.exit_code < 128:
        ui.line(f"Error: {message}", style="bold red")
    else:  # somebody stopped it, which is no error
        ui.line(message, style="yellow")
    if remedy:
        ui.line(remedy)


def write_line(text: str) -> None:
    """Write a line for machines; a reader that has gone away (`| head`), or was never there, silences the rest.

    Raises:
        OutputError: standard output goes to a file that cannot take it.
    """
    if sys.stdout is None:  # closed before the start
        return
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        raise _stdout_failure(error) from error


def _stdout_failure(error: OSError) -> OutputError:
    _silence(sys.stdout)
    return OutputError(f"Standard output cannot be written: {error.strerror or error}.")


def _silence(stream: TextIO) -> None:
    # Python would complain at exit when it flushes a closed pipe: give it a place that takes everything.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
