"""Stand-ins for the `Progress` that a command shows: one that keeps what it is given, one that asks for a stop."""

from __future__ import annotations

from stego_cli.progress import Quiet
from stego_cli.stop import Stop


class Recorder(Quiet):
    """Keeps notes, warnings and events, and `texts`: notes and warnings in their order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.texts: list[str] = []
        self.events: list[dict[str, object]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.texts.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.texts.append(text)

    def event(self, kind: str, **fields: object) -> None:
        self.events.append({"event": kind, **fields})


class StopAtStep(Quiet):
    """Requests a stop at a step of training, as Ctrl-C then would."""

    def __init__(self, stop: Stop, step: int) -> None:
        self.stop, self.step = stop, step

    def event(self, kind: str, **fields: object) -> None:
        if kind == "step" and fields["step"] == self.step:
            self.stop.requested = 130
