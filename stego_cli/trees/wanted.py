"""Which files of a tree are photographs: by their names alone, by the same rules as in a folder of a disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from stego_cli.images.discover import DECODED, UNDECODED, Found, Reason, matches
from stego_cli.reading import Walk
from stego_cli.text import shown
from stego_cli.trees.tree import Listed

_LEADS_OUT = "its name has an empty part, . or .."
_LISTED = 1000  # of those that are listed; the rest is passed over as no photographs


def wanted(files: Iterable[Listed], inside: str, walk: Walk, found: Found) -> Iterator[Listed]:
    """Yield the photographs.

    Args:
        files: of the tree.
        inside: folder of the tree that masks are written to; "": none.
        walk: which of the photographs are wanted.
        found: gets what is passed over, by reason, and names that could lead out of the tree.
    """
    for file in files:
        parts = file.path.split("/")
        if inside and file.path.startswith(f"{inside}/"):
            continue
        reason = _reason(file.path, parts, walk)
        if reason is not None:
            found.passed[reason].add(file.path)
        elif {"", ".", ".."} & set(parts):
            if len(found.unreadable) < _LISTED:
                found.unreadable.append((shown(file.path), _LEADS_OUT))
        else:
            yield file


def _reason(path: str, parts: list[str], walk: Walk) -> Reason | None:
    if any(part.startswith(".") and part not in (".", "..") for part in parts):
        return Reason.HIDDEN
    if PurePosixPath(path).suffix.lower() not in DECODED | UNDECODED:
        return Reason.NAME
    folders = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)] if walk.exclude else []
    if any(matches(folder, walk.exclude) for folder in folders) or (walk.include and not matches(path, walk.include)):
        return Reason.PATTERN
    return None
