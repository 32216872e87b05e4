"""What of a data set is done already: one JSON line an example, in the folder in which the data set grows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from stego_cli.datasets.write import Written
from stego_cli.errors import OutputError
from stego_cli.images.atomic import write_bytes
from stego_cli.text import shown

JOURNAL, LOCK = ".stego-journal.jsonl", ".stego-lock"


class Journal:
    """A line for each example that is whole in the folder; begun anew where another command left it."""

    def __init__(self, partial: Path, digest: str) -> None:
        self._file, self._root = partial / JOURNAL, partial
        self.done: dict[str, Written] = {}
        lines = self._file.read_bytes().splitlines(keepends=True) if self._file.is_file() else []
        if lines and lines[0] == f"{digest}\n".encode():
            self._read(lines[1:])
        else:
            for path in partial.iterdir():
                if path.name != LOCK:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        content = "".join(json.dumps(vars(written)) + "\n" for written in self.done.values())
        write_bytes(self._file, f"{digest}\n{content}".encode())

    def _read(self, lines: list[bytes]) -> None:
        for line in lines:
            try:
                fields = json.loads(line)
                for counts in ("pixels", "images"):
                    fields[counts] = {int(key): count for key, count in fields[counts].items()}
                self.done[fields["key"]] = Written(**fields)
            except (ValueError, TypeError, KeyError):
                continue  # torn by the end of the run that wrote it

    def whole(self, key: str) -> Written | None:
        """Return what became of an example if its files still are as they were written."""
        written = self.done.get(key)
        if written is None or written.error:
            return None
        try:
            whole = all((self._root / name).stat().st_size == size for name, size in written.files.items())
        except OSError:
            return None
        return written if whole else None

    def add(self, done: list[Written]) -> None:
        """Note some."""
        try:
            self._stream.writelines(json.dumps(vars(written)) + "\n" for written in done)
            self._stream.flush()
        except OSError as error:
            raise OutputError(
                f"{shown(self._file)} cannot be written: {error.strerror}.", "Free some space."
            ) from error

    def __enter__(self) -> Journal:
        self._stream = self._file.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
