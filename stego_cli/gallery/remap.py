"""Masks that are there get other classes: each mask whole or not at all, and the journal true at every moment.

A change is written down before it begins (its table, and how long the journal was). For each mask the new hash goes
into the journal first and the mask itself second. Whatever moment a kill comes at, a mask's hash is therefore either
its last entry's or that of the entry before, and the same table turns the one into the other: the change can be
finished later, and until then `segment` refuses to go on. (A split goes the same way, with the model in place of
the table: see `remap_split`.)
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta

from stego_cli.checked_json import parse_file
from stego_cli.class_edits import VALUES, ClassEdits
from stego_cli.class_operations import pending_splits, split, transition
from stego_cli.classes_toml import parse_classes_file, write_classes_file
from stego_cli.errors import ModelError, PhotoError, Stopped, UsageError
from stego_cli.gallery.mask_tree import (
    done_entries,
    open_masks,
    photos_of_run,
    read_labels,
    require_masks,
    require_pictures,
)
from stego_cli.gallery.model_edit import classes_of_model
from stego_cli.gallery.remap_split import ByModel, ByTable, Labels, Relabel, model_after, take_model
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import decode_whole
from stego_cli.images.journal import Entry, Journal, read_entries
from stego_cli.images.masks import encode_mask, encode_overlay
from stego_cli.images.streams import as_finished
from stego_cli.inference.mask_classes import keep_classes_of_masks, pending_change
from stego_cli.inference.output_folder import OutputFolder, journals
from stego_cli.inference.outputs import place
from stego_cli.machine import cores
from stego_cli.processes import thread_pool
from stego_cli.progress import Progress
from stego_cli.stop import Stop
from stego_cli.text import shown

_Value = Annotated[int, Meta(ge=0, lt=VALUES)]  # of a pixel in a mask


@dataclass
class Changed:
    """What a change did: masks written, masks that it left as they are, and paths with reasons of those that failed.

    `before` is what the classes were when it began, as a change that was stopped noted it; `paths` are the photographs
    of the masks that were written.
    """

    written: int
    kept: int
    failed: list[tuple[str, str]]
    before: ClassEdits | None = None
    paths: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Change:
    """A change as it is written down before it begins.

    Attributes:
        table: old value to new one, 256 of them.
        classes: text of the classes file that is true afterwards.
        journal: bytes of the journal when the change began; entries beyond are of the change.
        parts: values of the parts of a class that is split, that of the class itself first; empty: no split.
        before: text of the classes file that was true when it began.
    """

    table: Annotated[list[_Value], Meta(min_length=VALUES, max_length=VALUES)]
    classes: str
    journal: Annotated[int, Meta(ge=0)]
    parts: tuple[_Value, ...] = ()
    before: str = ""


def change_classes(masks: Path, after: ClassEdits, progress: Progress, stop: Stop) -> Changed:
    """Bring the masks in a folder, and all that is written down about them, to the classes `after`.

    A change that was stopped before is finished first.

    Raises:
        UsageError: these are no masks of this tool, or they cannot be told apart as `after` wants.
        OutputError: a mask cannot be written, or another run works on this folder.
        Stopped: a signal came; the same command does the rest.
    """
    require_masks(masks)
    with OutputFolder(masks) as output:
        finished = _finish(output, progress, stop)
        before = open_masks(masks).edits
        if before == after:
            return finished or Changed(0, len(done_entries(masks)), [])
        table = transition(before, after)
        if before.colours == after.colours and table.tolist() == transition(before, before).tolist():
            keep_classes_of_masks(masks, after)  # other names alone
            return Changed(0, len(done_entries(masks)), [])
        require_pictures(masks, done_entries(masks))
        change = _Change(
            table.tolist(), write_classes_file(after), _one_journal(output), (), write_classes_file(before)
        )
        write_bytes(pending_change(masks), (json.dumps(asdict(change)) + "\n").encode(), output.scratch)
        return _carry_out(output, change, progress, stop)


def split_masks(masks: Path, number: int, model: bytes, progress: Progress, stop: Stop) -> Changed:
    """Give each pixel of one class in the masks in a folder to one of its parts; no other pixel changes.

    Args:
        masks: the folder.
        number: of the class.
        model: content of the folder's model file after the split; it takes the other's place.
        progress: told of masks that cannot be changed, which stay as they are.
        stop: asked between two masks.

    Raises:
        UsageError: these are no masks of this tool, or not of the model in their folder.
        OutputError: a mask cannot be written, or another run works on this folder.
        Stopped: a signal came; `stego classes apply` does the rest.
    """
    require_masks(masks)
    with OutputFolder(masks) as output:
        require_pictures(masks, done_entries(masks))
        before = open_masks(masks).edits
        after = split(before, number, _parts_in(model, before))
        values = {entry.number: entry.value for entry in after.legend}
        parts = (values[number], *range(before.count, after.count))
        write_bytes(model_after(output.state), model, output.scratch)
        table = transition(before, before).tolist()
        change = _Change(table, write_classes_file(after), _one_journal(output), parts, write_classes_file(before))
        write_bytes(pending_change(masks), (json.dumps(asdict(change)) + "\n").encode(), output.scratch)
        return _carry_out(output, change, progress, stop)


def _parts_in(model: bytes, before: ClassEdits) -> int:
    (pair,) = pending_splits(before, classes_of_model(model, "the model"))
    return pair[1]


def finish_change(masks: Path, progress: Progress, stop: Stop) -> Changed | None:
    """Finish a change that was stopped in the middle; None: there is none.

    Raises:
        UsageError: these are no masks of this tool.
        OutputError: a mask cannot be written, or another run works on this folder.
        Stopped: a signal came; the same command does the rest.
    """
    require_masks(masks)
    if not pending_change(masks).exists():
        return None
    with OutputFolder(masks) as output:
        return _finish(output, progress, stop)


def _finish(output: OutputFolder, progress: Progress, stop: Stop) -> Changed | None:
    pending = pending_change(output.root)
    if not pending.exists():
        return None
    progress.note("Finishing the change of classes that was stopped before.")
    try:
        change = parse_file(pending, _Change)
        for text in filter(None, (change.classes, change.before)):
            parse_classes_file(text, str(pending))
    except (OSError, ValueError, UsageError) as error:
        raise ModelError(
            f"{shown(pending)} is damaged: {error}.", "Make the masks again with `stego segment --overwrite`."
        ) from error
    changed = _carry_out(output, change, progress, stop)
    return replace(changed, before=parse_classes_file(change.before) if change.before else None)


def _one_journal(output: OutputFolder) -> int:
    """Bring the journals of shards into one, to which entries can be added that win; return its bytes."""
    target, files = output.state / "journal.jsonl", journals(output.root)
    if files and files != [target]:
        entries = read_entries(files)
        lines = "".join(entry.line() + "\n" for _, entry in sorted(entries.items()))
        write_bytes(target, lines.encode(), output.scratch)
        for file in files:
            if file != target:
                file.unlink()
    with Journal(target):  # drops a torn last line
        return target.stat().st_size


def _carry_out(output: OutputFolder, change: _Change, progress: Progress, stop: Stop) -> Changed:
    file = output.state / "journal.jsonl"
    edits = parse_classes_file(change.classes)
    with Journal(file) as journal:
        before = read_entries([file], change.journal)
        relabel: Relabel = ByTable(np.array(change.table, np.uint8))
        if change.parts:
            relabel = ByModel(output.root, edits, change.parts)
        work = _Work(output, relabel, edits, before, journal)
        todo = [entry for _, entry in sorted(journal.entries.items()) if entry.status == "done" and entry.mask]
        todo = [entry for entry in todo if relabel.concerns(before.get(entry.path, entry))]
        changed = Changed(0, 0, [])
        with progress.stage("Changing masks", len(todo), unit="masks") as stage, thread_pool(cores()) as pool:
            for entry, problem in as_finished(pool, work.change, todo, 2 * cores(), lambda: stop.requested is not None):
                stage.advance()
                if problem is None:
                    changed.kept += 1
                elif problem:
                    changed.failed.append((shown(entry.path), problem))
                    progress.warn(f"{shown(entry.path)}: {problem}")
                else:
                    changed.written += 1
                    changed.paths.add(entry.path)
    if stop.requested is not None:
        raise Stopped(
            stop.requested,
            f"Stopped while the masks in {shown(output.root)} were being changed.",
            f"`stego classes apply --to {shown(output.root)}` does the rest.",
        )
    if change.parts:
        take_model(output)
    keep_classes_of_masks(output.root, edits)
    pending_change(output.root).unlink()
    return changed


class _Work:
    """Changes one mask at a time, several of them side by side."""

    def __init__(
        self, output: OutputFolder, relabel: Relabel, edits: ClassEdits, before: Mapping[str, Entry], journal: Journal
    ) -> None:
        self._output, self._relabel, self._before, self._journal = output, relabel, before, journal
        self._colours = edits.colours
        self._writing = threading.Lock()
        self._photos = photos_of_run(output.root)

    def change(self, last: Entry) -> tuple[Entry, str | None]:
        """Change the mask of a journal's last entry; the text says why it could not be, None that it had been."""
        mask = self._output.root / (last.mask or "")
        old = self._before.get(last.path, last)
        try:
            now = hashlib.sha256(mask.read_bytes()).hexdigest()
            if now == last.sha256 and last != old:
                return last, None
            if now != old.sha256:
                return last, "its mask was altered by something else and is left as it is; `stego segment` makes it"
            labels = self._relabel(last, read_labels(mask))
        except OSError as error:
            return last, f"its mask cannot be read ({error.strerror or error}); `stego segment` makes it"
        except PhotoError as error:
            return last, f"its mask cannot be changed ({error.message}); `stego segment` makes it"
        content = encode_mask(labels, self._colours)
        counts = np.bincount(labels.ravel())
        entry = replace(
            last,
            sha256=hashlib.sha256(content).hexdigest(),
            pixels={int(value): int(counts[value]) for value in counts.nonzero()[0]},
        )
        with self._writing:
            self._journal.append(entry)
        self._redraw(entry, labels)
        write_bytes(mask, content, self._output.scratch)
        return entry, ""

    def _redraw(self, entry: Entry, labels: Labels) -> None:
        """Draw an overlay again; one that cannot be, since the photograph is gone, would show what is no longer so."""
        overlay = self._output.root / place(entry.mask or "", "overlay")
        if not overlay.exists():
            return
        try:
            if self._photos is None:
                raise PhotoError("the photographs are not there")
            content = encode_overlay(decode_whole(self._photos / entry.path), labels, self._colours)
        except PhotoError:
            overlay.unlink(missing_ok=True)
        else:
            write_bytes(overlay, content, self._output.scratch)
