"""What was done in an output tree: MASKS/.stego there, of files that are written once, since stores append nothing.

run.json                            settings that decide what a mask looks like, as in a folder
journal/FIRST-LAST-TIME-ID.jsonl    lines of a journal: some photographs of the buckets FIRST to LAST
begun/FIRST-LAST-TIME-ID.json       masks that were begun; deleted when the journal has them
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from stego_cli.checked_json import parse
from stego_cli.errors import ModelError, OutputError, UsageError, setting
from stego_cli.images.discover import STATE
from stego_cli.images.journal import Entry
from stego_cli.text import shown
from stego_cli.trees.spool import bucket_of
from stego_cli.trees.tree import Tree
from stego_cli.version import __version__

_NAME = re.compile(r"(\d{4})-(\d{4})-(\d{20})-[0-9a-f]{12}\.jsonl?")
_READERS = 16  # requests at the same time


class Record:
    """What was done in a tree.

    Args:
        tree: the output tree.

    Attributes:
        journals: the parts of the journal, the oldest first: first and last bucket, and path.
        begun: likewise, of the masks that were begun.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.journals, self.begun = list[tuple[int, int, str]](), list[tuple[int, int, str]]()

    def load(self) -> None:
        """Find the parts that are there.

        Raises:
            OSError: the tree cannot be listed.
        """
        self.journals, self.begun = (self._parts(f"{STATE}/{kind}") for kind in ("journal", "begun"))

    def _parts(self, folder: str) -> list[tuple[int, int, str]]:
        named = ((_NAME.fullmatch(file.path.rpartition("/")[2]), file.path) for file in self._tree.files(folder))
        found = sorted((match[3], int(match[1]), int(match[2]), path) for match, path in named if match)
        return [(first, last, path) for _, first, last, path in found]

    def identity(self) -> dict[str, Any] | None:
        """Return what decides the masks that are there; None: there are none.

        Raises:
            ModelError: run.json is damaged.
        """
        try:
            about = parse(self._tree.read(f"{STATE}/run.json"), dict[str, Any])
            return dict(about["identity"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{self._tree.place}/{STATE}/run.json is damaged.",
                f"Give {setting('overwrite', True)} to make all masks again.",
            ) from error

    def begin(self, photos: str, identity: dict[str, Any], overwrite: bool) -> None:
        """Write down what decides the masks of this run; with `overwrite` what was done before is forgotten.

        Raises:
            UsageError: masks made with other settings are there.
            OutputError: the tree cannot be written.
        """
        before = None if overwrite else self.identity()
        if before is not None:
            changed = [name for name in {**before, **identity} if before.get(name) != identity.get(name)]
            if changed:
                raise UsageError(
                    f"{self._tree.place} holds masks made with other settings ({', '.join(changed)}).",
                    f"Give the same settings to go on, {setting('overwrite', True)} to make all masks again, or "
                    f"another {setting('out')}.",
                )
        about = {"stego_version": __version__, "photos": photos, "identity": identity}
        try:
            self._tree.put(f"{STATE}/run.json", (json.dumps(about, indent=2) + "\n").encode())
        except OutputError:
            raise
        except Exception as error:
            raise OutputError(f"{self._tree.place} cannot be written: {error}.") from error
        if overwrite:
            for _, _, path in self.journals:
                self._tree.remove(path)
            self.journals = []

    def entries(self, first: int, last: int) -> tuple[dict[str, Entry], set[str]]:
        """Return the last entry of every path in these buckets, and of some in others; and every mask of theirs."""
        entries: dict[str, Entry] = {}
        masks = set[str]()
        for content in self._contents(self.journals, first, last):
            for line in content.splitlines():
                entry = parse(line, Entry)
                entries[entry.path] = entry
                if entry.mask is not None:
                    masks.add(entry.mask)
        return entries, masks

    def owned(self, first: int, last: int) -> set[str]:
        """Return masks in these buckets that were begun and may be there."""
        return {mask for content in self._contents(self.begun, first, last) for mask in parse(content, list[str])}

    def _contents(self, parts: Sequence[tuple[int, int, str]], first: int, last: int) -> list[bytes]:
        paths = [path for low, high, path in parts if low <= last and first <= high]
        with ThreadPoolExecutor(_READERS) as pool:
            return [content for content in pool.map(self._content, paths) if content is not None]

    def _content(self, path: str) -> bytes | None:
        try:
            return self._tree.read(path)
        except FileNotFoundError:  # a worker has finished meanwhile
            return None
        except Exception as error:
            raise OutputError(f"{shown(path)} in {self._tree.place} cannot be read: {error}.") from error


def put_journal(tree: Tree, entries: Sequence[Entry]) -> None:
    """Write a part of the journal.

    Raises:
        OutputError: it cannot be written.
    """
    lines = "".join(f"{entry.line()}\n" for entry in entries)
    _put(tree, _name("journal", [entry.path for entry in entries], ".jsonl"), lines.encode())


def put_begun(tree: Tree, masks: Sequence[str]) -> str:
    """Write down masks that are begun, and return the path of that.

    Raises:
        OutputError: it cannot be written.
    """
    path = _name("begun", masks, ".json")
    _put(tree, path, json.dumps(list(masks)).encode())
    return path


def _put(tree: Tree, path: str, content: bytes) -> None:
    try:
        tree.put(path, content)
    except OutputError:
        raise
    except Exception as error:  # without a record nothing may be written
        raise OutputError(f"{shown(path)} in {tree.place} cannot be written: {error}.") from error


def _name(kind: str, paths: Sequence[str], suffix: str) -> str:
    buckets = [bucket_of(path) for path in paths]
    when = f"{time.time_ns():020}"
    return f"{STATE}/{kind}/{min(buckets):04}-{max(buckets):04}-{when}-{uuid.uuid4().hex[:12]}{suffix}"
