"""Part of a data set: drawn by a hash of seed and name, so that a smaller part is contained in a larger one."""

from __future__ import annotations

import hashlib

from stego_cli.datasets.inventory import Item


def rank(seed: int, name: str) -> bytes:
    """Return the key by which names are drawn: it depends on the seed and this name, and on no other name."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogateescape")).digest()


def subset(items: list[Item], limit: int | None, fraction: float | None, seed: int) -> list[Item]:
    """Return a part of each split, in the order of the whole.

    Args:
        items: of all splits.
        limit: at most so many of each split.
        fraction: this share of each split, at least one.
        seed: decides which.
    """
    by_split: dict[str, list[Item]] = {}
    for item in items:
        by_split.setdefault(item.split, []).append(item)
    kept = []
    for those in by_split.values():
        count = len(those) if fraction is None else max(1, round(fraction * len(those)))
        count = min(count, limit or count)
        if count < len(those):
            drawn = {item.name for item in sorted(those, key=lambda item: rank(seed, item.name))[:count]}
            those = [item for item in those if item.name in drawn]
        kept += those
    return kept
