"""How file names, other text from outside, and numbers are shown."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path


def shown(path: Path | str) -> str:
    """Return a path as text that any terminal and any JSON reader takes: other bytes than UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


# Controls, and what turns the direction of the text around it or shows nothing at all.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def visible(name: str) -> str:
    """Return a name with every letter that steers a terminal, or hides, written as an escape such as \\n or \\u202e."""
    return _UNSEEN.sub(lambda found: {"\n": "\\n", "\t": "\\t"}.get(found[0], f"\\u{ord(found[0]):04x}"), name)


def number(value: float, digits: int = 2) -> str:
    """Return a number as text with this many decimals; "-" if it is undefined (NaN)."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
