"""What a look at an installation has found: a line each, with what to do about it where something is amiss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        group: of which part of the installation.
        name: of what was looked at.
        text: what was found.
        status: "ok"; "warning": something is slower or missing, the rest works; "problem": nothing works without it.
        remedy: what to do; None: nothing.
        figures: the same in numbers, for machines: plain JSON values.
    """

    group: str
    name: str
    text: str
    status: Status = "ok"
    remedy: str | None = None
    figures: dict[str, object] = field(default_factory=dict)


def found(group: str, name: str, look: Callable[[], Finding], status: Status = "problem", remedy: str = "") -> Finding:
    """Return what `look` finds; an error in it, whatever its kind, is a finding too, with this status and remedy."""
    try:
        return look()
    except Exception as error:  # a look at a broken installation must survive whatever is broken
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Finding(group, name, f"failed: {said}", status, getattr(error, "remedy", None) or remedy or None)


def size(count: float) -> str:
    """Return a number of bytes as people say it."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"
