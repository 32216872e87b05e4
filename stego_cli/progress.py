"""How the library tells what it does, without printing: a small protocol that `stego_cli.ui` fulfils.

Library functions take a `Progress`; `Quiet` is one that says nothing. Numeric code never sees it.
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
    """What a library function may tell its caller while it works."""

    def note(self, text: str) -> None:
        """Tell something worth knowing, such as a choice made for the user."""

    def warn(self, text: str) -> None:
        """Tell something that may spoil the result."""

    def event(self, kind: str, **fields: object) -> None:
        """Emit one machine-readable record; shown only with `--json`."""

    def stage(self, title: str, total: int | None, unit: str = "") -> AbstractContextManager[Stage]:
        """Open a stage of `total` steps (None: unknown)."""


class _QuietStage:
    def advance(self, steps: int = 1, **figures: object) -> None:
        pass


class Quiet:
    """A `Progress` that says nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def event(self, kind: str, **fields: object) -> None:
        """Say nothing."""

    @contextmanager
    def stage(self, title: str, total: int | None, unit: str = "") -> Iterator[Stage]:
        """Count nothing."""
        yield _QuietStage()
