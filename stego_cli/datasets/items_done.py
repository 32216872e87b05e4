"""Which items of a data set are done already: a JSON line for each, in the folder in which the data set is made."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

from stego_cli.checked_json import parse_lines
from stego_cli.datasets.write import Written
from stego_cli.errors import OutputError
from stego_cli.images.atomic import write_bytes
from stego_cli.regular_file import open_regular
from stego_cli.text import shown

JOURNAL, LOCK = ".stego-journal.jsonl", ".stego-lock"


class ItemsDone:
    """A journal with a line for each item that is written; started anew where a run with other settings left one.

    Args:
        partial: the folder; what another run left in it is deleted.
        digest: of settings and sources, the journal's first line.

    Attributes:
        before: what earlier runs did, by item.
    """

    def __init__(self, partial: Path, digest: str) -> None:
        self._file, self._root = partial / JOURNAL, partial
        self.before: dict[str, Written] = {}
        if not self._read(f"{digest}\n".encode()):
            for path in partial.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        content = "".join(json.dumps(vars(written)) + "\n" for written in self.before.values())
        write_bytes(self._file, f"{digest}\n{content}".encode())

    def _read(self, first: bytes) -> bool:
        """Read the items, and return whether the journal is there and begins with this line."""
        try:
            with open_regular(self._file) as unbuffered, io.BufferedReader(unbuffered) as stream:
                if stream.readline(len(first) + 1) != first:
                    return False
                self.before = {written.key: written for written in parse_lines(stream, Written)}
        except OSError:
            return False
        return True

    def complete(self, key: str) -> Written | None:
        """Return what an earlier run wrote for an item if its files are still there with the same sizes."""
        written = self.before.get(key)
        if written is None or written.error:
            return None
        try:
            complete = all((self._root / name).stat().st_size == size for name, size in written.files.items())
        except (OSError, ValueError):  # the latter: a name with a NUL
            return None
        return written if complete else None

    def add(self, done: list[Written]) -> None:
        """Append lines.

        Raises:
            OutputError: the disk is full.
        """
        try:
            self._stream.writelines(json.dumps(vars(written)) + "\n" for written in done)
            self._stream.flush()
        except OSError as error:
            raise OutputError(
                f"{shown(self._file)} cannot be written: {error.strerror}.", "Free some space."
            ) from error

    def __enter__(self) -> ItemsDone:
        self._stream = self._file.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
