"""Which split each photograph of a folder gets: by a hash of its content, near-duplicates together.

A new photograph moves no other one. Frames of a moving camera are near-duplicates of their neighbours and so, by a
chain, all of one another: such a chain is cut in time instead, its last part being `val`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from stego_cli.datasets.near_duplicates import alike, are_near, fingerprint
from stego_cli.datasets.source import Files
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.text import shown

SIDES = "lists/sides.json"  # in a data set that was split by content: split by hash
_SPLITS = ("train", "val")


def split_by_content(
    files: Files, photos: Sequence[str], settings: PrepareSettings, progress: Progress
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the split of each photograph by its name, and by the hash of its content.

    Args:
        files: the source.
        photos: names of the photographs.
        settings: of the task.
        progress: shown a bar of photographs, and told of near-duplicates.
    """
    before = _sides_before(settings)

    def look(photo: str) -> tuple[str, int | None]:
        content = files.read(photo)
        return hashlib.sha256(content).hexdigest(), fingerprint(content)

    with (
        ThreadPoolExecutor(cores()) as pool,
        progress.stage("Looking for near-duplicates", len(photos), "photographs") as stage,
    ):
        looked = []
        for each in map_ahead(pool, look, photos, 4 * cores()):
            looked.append(each)
            stage.advance()
    hashes, marks = [digest for digest, _ in looked], [mark for _, mark in looked]
    in_time = sorted(range(len(photos)), key=lambda index: _natural(photos[index]))
    groups = alike(marks, in_time)
    sides: dict[str, str] = {}
    for group in groups:
        if len(group) > max(1, settings.val * len(photos)) and settings.val > 0 and not _all_near(group, marks):
            members = set(group)
            ordered = [(photos[index], hashes[index]) for index in in_time if index in members]
            sides.update(_cut_in_time(ordered, before, settings.val, progress))
            continue
        digests = [hashes[index] for index in group]
        past = Counter(before[each] for each in digests if each in before)
        # In a new group the member with the smallest hash decides, whatever the order of the files.
        side = past.most_common(1)[0][0] if past else _side(min(digests), settings.val)
        sides.update({digest: before.get(digest, side) for digest in digests})
    if 0 < settings.val < 1:
        digests_of = [[hashes[index] for index in group] for group in groups]
        _fill_both(sides, [those for those in digests_of if not before.keys() & set(those)], settings.val)
    joined = sum(len(group) for group in groups if len(group) > 1 and len({sides[hashes[at]] for at in group}) == 1)
    if joined:
        progress.note(f"{joined} photographs have near-duplicates; each group of them is in one split.")
    return {photo: sides[digest] for photo, digest in zip(photos, hashes, strict=True)}, sides


def _all_near(group: list[int], marks: Sequence[int | None]) -> bool:
    """Return whether all members are near to the first one: they are copies, and no chain."""
    first = marks[group[0]]
    return all(are_near(first, marks[index]) for index in group)


def _cut_in_time(
    ordered: list[tuple[str, str]], before: dict[str, str], val: float, progress: Progress
) -> dict[str, str]:
    """Return the split of a chain of near-duplicates by hash: its last part is `val`.

    Photographs that had a split before keep it, and new ones have that of the photograph before them.

    Args:
        ordered: name and hash of each photograph, in the order of time.
        before: the splits of photographs that had one, by hash.
        val: share of the last part.
        progress: told of the cut.
    """
    digests = [digest for _, digest in ordered]
    past = [before[digest] for digest in digests if digest in before]
    if past:
        sides, side = {}, past[0]
        for digest in digests:
            side = before.get(digest, side)
            sides[digest] = side
        return sides
    count = min(max(1, round(val * len(digests))), len(digests) - 1)
    progress.note(
        f"{len(digests)} photographs follow each other closely, as the frames of a video do. The last {count}, from "
        f"{shown(ordered[-count][0])} on, are in val; only there near-duplicates are in both splits."
    )
    return dict.fromkeys(digests[-count:], "val") | dict.fromkeys(digests[:-count], "train")


def _fill_both(sides: dict[str, str], groups: list[list[str]], val: float) -> None:
    """If all photographs are in one split by chance, move one of these groups: the one whose hash is nearest to it."""
    if not groups or len(sides) < 2 or len(set(sides.values())) > 1:
        return
    nearest = min(groups, key=lambda digests: abs(int(min(digests)[:12], 16) - val * 16**12))
    if len(nearest) < len(sides):
        sides.update(dict.fromkeys(nearest, "val" if "train" in sides.values() else "train"))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts numbers in names by their values."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _sides_before(settings: PrepareSettings) -> dict[str, str]:
    """Return the splits in the data set that will be replaced, by hash of the content."""
    if not settings.overwrite:
        return {}
    try:
        sides = json.loads((settings.out / SIDES).read_text())
        return {str(digest): str(side) for digest, side in sides.items() if side in _SPLITS}
    except (OSError, ValueError, AttributeError):
        return {}


def _side(digest: str, val: float) -> str:
    return "val" if int(digest[:12], 16) < val * 16**12 else "train"
