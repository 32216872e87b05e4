"""How file names, other text from outside, and numbers are shown."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)


def shown(path: Path | str) -> str:
    """Return a path as text that any terminal and any JSON reader takes: other bytes than UTF-8 are escaped."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a pair, which JSON can hold and no file name
        return str(path).encode("utf-8", "backslashreplace").decode()


def displayed(text: Path | str, limit: int | None = None) -> str:
    """Return text from outside as one line that cannot steer a terminal or a page, nor change the order of its words.

    Control characters, line separators, and characters that set the direction of writing or are invisible are escaped.

    Args:
        text: a name, a path or a message.
        limit: longest text; what is longer is cut in the middle.
    """
    whole = shown(text)
    if limit is not None and len(whole) > limit:
        whole = f"{whole[: limit - limit // 3 - 1]}…{whole[len(whole) - limit // 3 :]}"
    return _STEERING.sub(_escaped, whole)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] == "\n":
        return "\\n"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


# Controls, and what turns the direction of the text around it or shows nothing at all.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def visible(name: str) -> str:
    """Return a name with every letter that steers a terminal, or hides, written as an escape such as \\n or \\u202e."""
    return _UNSEEN.sub(lambda found: {"\n": "\\n", "\t": "\\t"}.get(found[0], f"\\u{ord(found[0]):04x}"), name)


def number(value: float, digits: int = 2) -> str:
    """Return a number as text with this many decimals; "-" if it is undefined (NaN)."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
