"""All that the tool says: people read standard error, machines read standard output.

Bars and colours appear on a terminal only; elsewhere a stage is a line when it begins and one when it ends. With
`--json`, standard output carries one JSON object a line and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stego_cli.errors import StegoError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from stego_cli.progress import Stage


class Ui:
    """A `stego_cli.progress.Progress` on the terminal.

    Args:
        as_json: emit events on standard output.
    """

    def __init__(self, as_json: bool = False) -> None:
        from rich.console import Console

        self._json = as_json
        self.console: Console = Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        """Say something worth knowing."""
        self.event("note", text=text)
        self.console.print(text, markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say something that may spoil the result."""
        self.event("warning", text=text)
        self.console.print(f"Warning: {text}", markup=False, style="yellow", soft_wrap=True)

    def event(self, kind: str, **fields: object) -> None:
        """Emit one line of JSON, if they were asked for."""
        if self._json:
            write_line(json.dumps({"event": kind, **fields}))

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None, unit: str = "") -> Iterator[Stage]:
        """Show a bar on a terminal, else a line at the beginning and one at the end."""
        self.event("stage", title=title, total=total, unit=unit)
        if total == 0:
            yield _Lines()
        elif self.console.is_terminal:
            with _bars(self.console, unit) as bars:
                yield _Bar(bars, bars.add_task(title, total=total, figures="", rate=""), unit)
        else:
            amount = "" if total is None or unit == "B" else f" ({total} {unit})"
            self.console.print(f"{title}{amount} ...", markup=False, soft_wrap=True)
            started, lines = time.monotonic(), _Lines()
            yield lines
            seconds = time.monotonic() - started
            self.console.print(f"{title}: {seconds:.1f} s{lines.figures}", markup=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], out: bool = False) -> None:
        """Show a table; `out`: on standard output, because it is what was asked for."""
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*[_no_markup(cell) for cell in row])
        (Console(highlight=False) if out else self.console).print(table)


class _Bar:
    """A bar with a rate of its own: rich knows bytes and nothing, photographs want photographs/s."""

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


def _bars(console: Console, unit: str) -> RichProgress:
    from rich import progress

    middle: list[progress.ProgressColumn] = (
        [progress.DownloadColumn(), progress.TransferSpeedColumn()]
        if unit == "B"
        else [progress.MofNCompleteColumn(), progress.TextColumn("{task.fields[rate]}")]
    )
    return progress.Progress(
        progress.TextColumn("{task.description}"), progress.BarColumn(24), *middle, progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[figures]}"), console=console,
    )  # fmt: skip


def show_error(error: StegoError) -> None:
    """Say what went wrong and what to do about it."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(
        f"Error: {error.message}", markup=False, soft_wrap=True, style="bold red" if error.exit_code < 128 else "yellow"
    )
    if error.remedy:
        console.print(error.remedy, markup=False, soft_wrap=True)


def write_line(text: str) -> None:
    """Write a line for machines; a reader that has gone away (`| head`) silences the rest."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain at exit when it flushes a closed pipe: give it a place that takes everything.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _no_markup(cell: str) -> str:
    return cell.replace("[", r"\[")
