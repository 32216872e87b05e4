"""How file names, other text from outside, and numbers are shown."""

from __future__ import annotations

import math
import os
from pathlib import Path


def shown(path: Path | str) -> str:
    """Return a path as text that any terminal and any JSON reader takes: other bytes than UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def number(value: float, digits: int = 2) -> str:
    """Return a number as text with this many decimals; "-" if it is undefined (NaN)."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
