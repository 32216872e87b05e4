"""A file that is segmented in parts to its mask: each part like a photograph, with a line in the file's own journal."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.errors import OutputError, PhotoError
from stego_cli.images.atomic import digest, require_writable
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry, Journal, is_done
from stego_cli.images.masks import decode_part
from stego_cli.inference.loaded import LoadedModel
from stego_cli.inference.output_folder import PARTS, OutputFolder
from stego_cli.inference.outputs import PART, Outcome, OutputPlan, content_hash
from stego_cli.inference.own_places import Places
from stego_cli.inference.pipeline import Pipeline
from stego_cli.inference.summary import Summary
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.settings import SegmentSettings
from stego_cli.sources.source import EMPTY, Asked, PartMask, Source, Target
from stego_cli.sources.table import kind_of
from stego_cli.stop import Stop
from stego_cli.text import shown


@dataclass(frozen=True)
class PartsRun:
    """What a run has open while it segments files in parts.

    Attributes:
        folder: MASKS; `places`: the record of what is this tool's in it; `journal`: what was done.
        model: loaded; `plan`: how its labels are written.
        settings: of the run; `names`: of the classes, by their values in the masks.
        summary: is added to.
        progress: shown each file as a stage.
        stop: on a signal the parts that were begun are finished.
    """

    folder: OutputFolder
    model: LoadedModel
    plan: OutputPlan
    settings: SegmentSettings
    names: tuple[str, ...]
    journal: Journal
    places: Places
    summary: Summary
    progress: Progress
    stop: Stop


def segment_in_parts(photo: Photo, run: PartsRun) -> None:
    """Segment what is not done yet of a file and, unless the run is stopped before, write its mask.

    Parts that fail have no labels in the mask; each is in the summary, and tried again by the next run.

    Raises:
        OutputError: something cannot be written.
    """
    file = run.plan.root / photo.path
    stat = _stat(file)
    list(run.places.begin([photo]))
    try:
        with open_parts(file, photo, run.model, run.settings.parts) as source:
            for note in source.notes:
                run.progress.note(note)
            parts = _Parts(photo, source, run)
            with parts.open_journal() as journal:
                parts.segment(journal)
            if run.stop.requested is not None:
                return
            target = Target(
                run.folder.root / photo.mask,
                run.folder.scratch,
                run.plan.colours,
                run.names,
                "overlay" in run.settings.outputs,
            )
            pixels = source.assemble(parts.read, target)
            troubles = [*source.troubles, *parts.troubles()]
    except PhotoError as error:
        _end(Entry(photo.path, "failed", *stat, error=error.message), run)
        run.summary.failed.append((shown(photo.path), error.message))
        run.progress.warn(f"{shown(photo.path)}: {error.message}")
        return
    run.summary.pixels.update(pixels)
    mask, content = digest(run.folder.root / photo.mask), content_hash(file, stat)
    made = Entry(photo.path, "done", *stat, photo.mask, mask, pixels=dict(pixels), content=content)
    run.summary.failed += [(shown(photo.path), trouble) for trouble in source.troubles] + parts.failed
    if troubles:
        # The mask is there, and this tool's; the next run tries again what it lacks.
        run.journal.append(replace(made, status="failed", error="; ".join(troubles)))
        run.places.end(made)
        run.progress.warn(f"{shown(photo.path)}: {'; '.join(troubles)}.")
    else:
        _end(made, run)
        run.summary.done += 1
        shutil.rmtree(parts.folder, ignore_errors=True)
    run.progress.event("photograph", path=shown(photo.path), status="done", mask=shown(photo.mask))


def open_parts(file: Path, photo: Photo, model: LoadedModel, parts: PartSettings) -> Source:
    """Open a file as the parts that a model gets.

    Raises:
        PhotoError: it cannot be opened, or what is needed for it is not installed.
    """
    kind, recipe = kind_of(file), model.recipe
    if kind is None:
        raise PhotoError("it changed while it was read")
    patch = model.sessions[0].info.patch
    return kind.open(Asked(file, shown(photo.path), recipe.res, patch, recipe.reading, parts))


def _end(entry: Entry, run: PartsRun) -> None:
    run.journal.append(entry)
    run.places.end(entry)


def _stat(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns


class _Parts:
    """The parts of one file: what was done of them before, and what this run does.

    Attributes:
        folder: where their labels are kept until the mask of the file is whole.
        failed: identity and reason of each that has no labels.
    """

    def __init__(self, photo: Photo, source: Source, run: PartsRun) -> None:
        self._source, self._run, self._name = source, run, photo.path
        self.folder = run.folder.scratch / PARTS / hashlib.sha256(os.fsencode(photo.path)).hexdigest()[:16]
        below = self.folder.relative_to(run.folder.root).as_posix()
        self.failed: list[tuple[str, str]] = []
        self._photos = {
            key: Photo(f"{photo.path}#{key}", f"{below}/{key}.png", photo.path)
            for key in source.keys()  # noqa: SIM118
        }
        self._keys = {part.path: key for key, part in self._photos.items()}
        self._has_labels = set[str]()  # keys

    def open_journal(self) -> Journal:
        """Open the journal of the parts, which is deleted with them.

        Raises:
            OutputError: it cannot be written.
        """
        require_writable(self.folder)
        return Journal(self.folder / "parts.jsonl")

    def segment(self, journal: Journal) -> None:
        """Do all parts that are not done yet."""
        run, before = self._run, journal.entries
        left = [key for key, part in self._photos.items() if not self._was_done(key, part, before.get(part.path))]
        done = len(self._photos) - len(left)
        if done:
            run.progress.note(f"{done} of {len(self._photos)} {self._source.unit} are done already.")
        pipeline = Pipeline(
            run.model,
            replace(run.plan, also=(), main=PART),
            run.progress,
            lambda part: self._source.decode(self._keys[part.path]),
        )
        with run.progress.stage(f"Segmenting {shown(self._name)}", len(left), unit=self._source.unit) as stage:
            todo = (self._photos[key] for key in self._source.begin(left))
            for outcome in pipeline.masks(todo, lambda: run.stop.requested is not None):
                self._add(outcome, journal)
                stage.advance()

    def _was_done(self, key: str, part: Photo, entry: Entry | None) -> bool:
        run = self._run
        if entry is not None and entry.status == "empty":
            return (entry.size, entry.mtime) == _stat(run.plan.root / part.file)
        if is_done(entry, part, run.plan.root, run.folder.root):
            self._has_labels.add(key)
            return True
        return False

    def _add(self, outcome: Outcome, journal: Journal) -> None:
        entry, run = outcome.entry, self._run
        if entry.error == EMPTY:
            entry = replace(entry, status="empty", error=None)
        journal.append(entry)
        run.summary.add_seconds(outcome)
        if entry.status == "done":
            self._has_labels.add(self._keys[entry.path])
        elif entry.status == "failed":
            self.failed.append((shown(entry.path), entry.error or "failed"))
            run.progress.warn(f"{shown(entry.path)}: {entry.error}")
        run.progress.event("part", path=shown(entry.path), status=entry.status, error=entry.error)

    def troubles(self) -> list[str]:
        """Return in a sentence how many parts have no labels; nothing where all have."""
        return [f"{len(self.failed)} of {len(self._photos)} {self._source.unit} have no labels"] if self.failed else []

    def read(self, key: str) -> PartMask | None:
        """Return the labels of a part; None: it has none.

        Raises:
            OutputError: they are gone, or damaged.
        """
        if key not in self._has_labels:
            return None
        file = self._run.folder.root / self._photos[key].mask
        try:
            return PartMask(*decode_part(file.read_bytes()))
        except (OSError, ValueError) as error:
            raise OutputError(f"{shown(file)} cannot be read: {error}.", "The same again makes it anew.") from error
