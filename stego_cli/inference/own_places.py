"""Which files in MASKS are this tool's own, so that nothing else is ever replaced without being asked to.

MASKS/.stego/places.jsonl (a shard's in the shard's folder) has a line for each photograph before its first file is
written: the place of the mask, and the names of the outputs beside it. Where the photograph then fails, a second line
takes back what the first has added, since nothing was written. A run that is killed in between therefore leaves no file
that is nobody's. A mask of ours that was changed since stays ours, and is made again.

Masks of versions that wrote no such file are known by their journal. It does not list what is beside them: files with
the names of outputs count as theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from stego_cli.checked_json import parse_lines
from stego_cli.errors import OutputError, UsageError, setting
from stego_cli.images.atomic import open_own
from stego_cli.images.discover import STATE, Photo
from stego_cli.images.journal import Entry, open_state, read_entries
from stego_cli.inference.outputs import MASK, OUTPUTS, place
from stego_cli.text import shown

FILE = "places.jsonl"
_NAMED = 3  # files that a refusal names
_WRITTEN_IN_PLACE = ("lock", "journal.jsonl", FILE)  # of a state folder; all else is replaced by renaming

Owned = dict[str, frozenset[str]]  # by place of the mask: the names of the outputs that are ours


class _Line(Struct):
    """A line of the file: outputs of a mask that are begun, or that there are none of after all."""

    mask: str
    begun: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()


def require_own_or_absent(out: Path, photos: Sequence[Photo], outputs: tuple[str, ...], overwrite: bool) -> None:
    """Refuse to write masks into a folder where something else has their places; changes nothing.

    Args:
        out: MASKS; it may be missing.
        photos: those whose files may be written.
        outputs: names of the outputs beside each mask.
        overwrite: files at the places of masks and outputs may be replaced; links to folders and folders may not.

    Raises:
        UsageError: there are files that this tool did not write.
        OutputError: a folder of MASKS is a link, or a folder has the place of a mask.
    """
    if not out.is_dir():
        return
    _refuse_links(out, photos)
    taken = list(_taken(out, photos, (MASK, *outputs)))
    for mask, name, file in taken:
        if Path(file).is_dir() and not Path(file).is_symlink():
            if name == MASK and MASK in read_owned(out).get(mask, ()):
                continue  # the masks of a video's frames
            raise OutputError(
                f"{shown(file)} is a folder, where a file is to be written.", f"Give another {setting('out')}."
            )
    if overwrite or not taken:
        return
    # Read after the files were looked for: what a run beside this one writes has its line before.
    owned = read_owned(out)
    theirs = [file for mask, name, file in taken if name not in owned.get(mask, ())]
    if theirs:
        some = ", ".join(shown(Path(file).relative_to(out)) for file in theirs[:_NAMED])
        more = f" and {len(theirs) - _NAMED} more" if len(theirs) > _NAMED else ""
        count = "a file" if len(theirs) == 1 else f"{len(theirs)} files"
        raise UsageError(
            f"{shown(out)} holds {count} that this tool did not write, where masks would be written: {some}{more}.",
            f"Give another {setting('out')}, or {setting('overwrite', True)} to replace "
            f"{'it' if len(theirs) == 1 else 'them'}.",
        )


def _refuse_links(out: Path, photos: Iterable[Photo]) -> None:
    """Refuse links in MASKS through which files would be written elsewhere."""
    folders = {photo.mask.rpartition("/")[0] for photo in photos}
    folders |= {parent.as_posix() for folder in folders for parent in Path(folder).parents}
    inside = [out / folder for folder in sorted(folders - {"", "."})]
    states = [out / STATE, *(out / STATE).glob("shard-*")]
    for path in (*states, *(state / name for state in states for name in _WRITTEN_IN_PLACE), *inside):
        if path.is_symlink():
            raise OutputError(
                f"{shown(path)} is a link: what is written there would replace files elsewhere.",
                f"Remove the link, or give another {setting('out')}.",
            )


def _taken(out: Path, photos: Iterable[Photo], names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield every place that something has: the mask's, the output's name, and the path."""
    there: dict[str, bool] = {}
    for photo in photos:
        folder = photo.mask.rpartition("/")[0]
        if folder not in there:
            there[folder] = (out / folder).is_dir()
        if there[folder]:
            for name in names:
                file = f"{out}/{place(photo.mask, name)}"
                if os.path.lexists(file):
                    yield photo.mask, name, file


def read_owned(out: Path) -> Owned:
    """Return what is ours in MASKS."""
    listed = _of_places(out)
    return {**_of_journals(out, listed), **listed}


def _of_places(out: Path) -> Owned:
    owned: Owned = {}
    for file in sorted((out / STATE).glob(f"**/{FILE}")):
        _read(file, owned)
    return owned


def _of_journals(out: Path, owned: Owned) -> Owned:
    """Return the masks that only journals list."""
    everything = frozenset(OUTPUTS)
    entries = read_entries(sorted((out / STATE).glob("**/journal.jsonl"))).values()
    return {
        entry.mask: everything
        for entry in entries
        if entry.status == "done" and isinstance(entry.mask, str) and entry.mask not in owned
    }


def _read(file: Path, owned: Owned) -> None:
    shared: dict[frozenset[str], frozenset[str]] = {}  # one set for all masks with the same outputs
    with open_state(file) as stream:
        for line in parse_lines(stream, _Line):
            names = (owned.get(line.mask, frozenset()) | line.begun) - line.dropped
            owned[line.mask] = shared.setdefault(names, names)


class Places:
    """The record of the places at which this run writes; a context manager.

    Args:
        out: MASKS.
        scratch: the folder of this run's state.
        outputs: names of the outputs beside each mask.
    """

    def __init__(self, out: Path, scratch: Path, outputs: tuple[str, ...]) -> None:
        self._out, self._names = out, frozenset((MASK, *outputs))
        self._file = scratch / FILE
        listed = _of_places(out)
        unlisted = _of_journals(out, listed)
        self._owned = {**unlisted, **listed}
        self._new: dict[str, tuple[str, list[str]]] = {}  # by photograph that is begun: its mask, and what is added
        try:
            self._stream = os.fdopen(open_own(self._file, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")
            if self._stream.tell():
                self._stream.write("\n")  # ends a line that a killed run may have left without its end
        except OSError as error:
            raise self._failure(error) from error
        for mask, names in unlisted.items():  # of a journal that this run may delete
            self._write({"mask": mask, "begun": sorted(names)})

    def begin(self, todo: Iterable[Photo]) -> Iterator[Photo]:
        """Yield photographs, each after its places are recorded.

        Raises:
            OutputError: the disk is full.
        """
        for photo in todo:
            added = sorted(self._names - self._owned.get(photo.mask, frozenset()))
            if added:
                self._new[photo.path] = photo.mask, added
                self._write({"mask": photo.mask, "begun": added})
            yield photo

    def end(self, entry: Entry) -> None:
        """Take back the places of a photograph that failed.

        Raises:
            OutputError: the disk is full.
        """
        mask, added = self._new.pop(entry.path, ("", []))
        if added and entry.status != "done":
            self._write({"mask": mask, "dropped": added})

    def _write(self, fields: dict[str, object]) -> None:
        try:
            self._stream.write(json.dumps(fields) + "\n")
            self._stream.flush()
        except OSError as error:
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"{shown(self._file)} cannot be written: {error.strerror or error}.", "Free some space.")

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *error: object) -> None:
        # What was begun and has no outcome was given up before its first file, or ended the run.
        for mask, added in self._new.values():
            absent = [name for name in added if not os.path.lexists(self._out / place(mask, name))]
            if absent:
                with contextlib.suppress(OutputError):  # the run has ended: nothing is lost but these notes
                    self._write({"mask": mask, "dropped": absent})
        with contextlib.suppress(OSError):  # each line was flushed when it was written, and a failure reported then
            self._stream.close()
