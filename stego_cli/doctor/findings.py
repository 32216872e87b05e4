"""A finding: one line of the report about an installation, with a remedy where something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from stego_cli.errors import StegoError

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        group: the part of the installation.
        name: what was examined.
        text: the result.
        status: "ok"; "warning": something is slower or missing, the rest works; "problem": nothing works without it.
        remedy: what to do; None: nothing.
        figures: the result for machines: plain JSON values.
    """

    group: str
    name: str
    text: str
    status: Status = "ok"
    remedy: str | None = None
    figures: dict[str, object] = field(default_factory=dict)


def guarded(
    group: str, name: str, examine: Callable[[], Finding], status: Status = "problem", remedy: str = ""
) -> Finding:
    """Return the finding of `examine`; an error, whatever its kind, becomes a finding of this status and remedy."""
    try:
        return examine()
    except StegoError as error:
        reason, own_remedy = error.told(_flag)
        return Finding(group, name, f"failed: {reason}", status, own_remedy or remedy or None)
    except Exception as error:  # examining a broken installation can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Finding(group, name, f"failed: {reason}", status, remedy or None)


def _flag(setting: str, value: object) -> str:
    """Return a setting as the flag that most commands have for it."""
    flag = setting.replace("_", "-")
    if value is False:
        return f"--no-{flag}"
    return f"--{flag}" if value is None or value is True else f"--{flag} {value}"


def size(count: float) -> str:
    """Return a number of bytes in a readable unit."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} bytes"
