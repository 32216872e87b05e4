"""How the library reports what it does without printing: a small protocol that `stego_cli.ui` implements.

Library functions take a `Progress`; `Quiet` is one that shows nothing. Numeric code does not use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """A piece of work with a known or unknown length."""

    def advance(self, steps: int = 1, **figures: object) -> None:
        """Count `steps` as done; `figures` are shown beside the bar, by name."""


class Progress(Protocol):
    """What a library function may report to its caller while it works."""

    def note(self, text: str) -> None:
        """Report something worth knowing, such as a choice made for the user."""

    def warn(self, text: str) -> None:
        """Report something that may spoil the result."""

    def event(self, kind: str, **fields: object) -> None:
        """Emit one machine-readable record; shown only with `--json`."""

    def stage(self, title: str, total: int | None, unit: str = "") -> AbstractContextManager[Stage]:
        """Open a stage of `total` steps (None: unknown)."""


class _QuietStage:
    def advance(self, steps: int = 1, **figures: object) -> None:
        pass


class Quiet:
    """A `Progress` that shows nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show nothing."""

    def event(self, kind: str, **fields: object) -> None:
        """Show nothing."""

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "") -> Iterator[Stage]:
        """Count nothing."""
        yield _QuietStage()
