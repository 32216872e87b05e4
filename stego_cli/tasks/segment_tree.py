"""Photographs at an address, such as s3://bucket/folder, to masks at another.

The listing is a stream: it goes to disk, divided into buckets, and some of those are in memory at a time. So a tree may
have any number of photographs.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from stego_cli.engines.table import engine
from stego_cli.engines.worker import Work
from stego_cli.errors import NoInputError, Stopped, UsageError, setting
from stego_cli.images.atomic import sha256
from stego_cli.images.discover import Found, Photo, with_masks
from stego_cli.images.journal import Entry
from stego_cli.inference.devices.providers import parse_devices
from stego_cli.inference.loaded import load_model, read_as
from stego_cli.inference.mask_classes import classes_as_made
from stego_cli.inference.output_folder import MadeBy
from stego_cli.inference.outputs import MASK, OutputPlan, place, require_outputs
from stego_cli.inference.select import Selection
from stego_cli.inference.summary import Summary
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.settings import SegmentSettings, TreeSettings
from stego_cli.stop import NEVER, Stop, temporary_folder
from stego_cli.tasks.model_choice import DEFAULT_MODEL
from stego_cli.tasks.photographs import decide_reading, note_passed_over
from stego_cli.tasks.segment import SegmentResult, here, outcomes, report
from stego_cli.text import shown
from stego_cli.trees.record import Record
from stego_cli.trees.spool import Group, Spool
from stego_cli.trees.tree import Listed, Tree
from stego_cli.trees.tree_worker import Remote, TreeTask, TreeWorker
from stego_cli.trees.wanted import wanted

_SAMPLE = 16  # photographs that are fetched to decide how all are read
_NAMED = 3  # files that a refusal names
_READERS = 16  # masks that are compared at the same time


def segment_tree(settings: TreeSettings, progress: Progress, stop: Stop = NEVER) -> SegmentResult:
    """Write a mask for every photograph of a tree that does not have one yet.

    Args:
        settings: see TreeSettings.
        progress: shown a stage; gets an event for each photograph.
        stop: on a signal what is in flight is finished, then the run ends.

    Raises:
        UsageError: settings make no sense, masks of a different model or other settings are there, or files that this
            tool did not write.
        NoInputError: there is no photograph, or the tree cannot be listed.
        ModelError: the model cannot be used.
        OutputError: masks cannot be written there.
        Stopped: a signal arrived; everything finished is in the journal.
    """
    started = time.perf_counter()
    how, file = settings.how, _check(settings.how)
    if how.decoder == "auto":
        how = replace(how, decoder="cpu")  # so that all machines and runs make the same masks
    photos, out = Tree(settings.photos, "photos"), Tree(settings.out, "out")
    if photos.place == out.place:
        raise UsageError("it is the folder of photographs.", "Give another.", field="out")
    with temporary_folder(Path(tempfile.gettempdir()), "stego-listing-") as folder:
        with stop.at_once():
            spool = Spool(folder)
            found = _listed(photos, out, spool, how, progress)
            record = Record(out)
            record.load()
            model = load_model(file, here(how), how.reading, progress)
            info = model.sessions[0].info
            plan = Plan(out, record, spool, how, Summary(0, failed=[*found.unreadable]))
            groups = plan.groups()
            first = next(groups, [])
            asked = how.reading.with_model(info.bands, info.stretch)
            reading = None if how.overwrite else _kept_reading(record, asked)
            model = read_as(model, reading or _decided(photos, first, asked, folder, progress))
            identity = MadeBy(Path(), sha256(file), model.recipe).identity()
            record.begin(settings.photos, identity, how.overwrite)
            note_passed_over(found, progress, how.verbose)
        classes = classes_as_made(info, how.probe)
        outputs = OutputPlan(
            folder, folder, folder, None, classes.colours, classes.values, how.outputs, model.recipe.reading
        )
        task = TreeTask(settings.photos, settings.out, how.of_a_process(), model.recipe.reading, outputs)
        devices = tuple(session.device for session in model.sessions)
        work = Work(TreeWorker(task, model, progress), task, file, devices, how, progress)
        summary, todo = plan.summary, itertools.chain(first, itertools.chain.from_iterable(groups))
        with progress.stage("Segmenting", None, unit="photographs") as stage:
            for outcome in outcomes(work, todo, how.engine, stop):
                summary.add(outcome)
                report(outcome.entry, progress)
                stage.advance()
    summary.seconds["total"] = time.perf_counter() - started
    if stop.requested is not None:
        raise Stopped(
            stop.requested,
            f"Stopped: {summary.done + summary.kept} masks are in {settings.out}.",
            "The same command does the rest.",
        )
    return SegmentResult(settings.out, file, classes.names, classes.colours, summary)


def _check(how: SegmentSettings) -> Path:
    """Return the model, after refusing what only a folder of a disk can have."""
    require_outputs(how.outputs)
    parse_devices(how.device)
    engine(how.engine)
    refused = {
        "classes": how.classes is not None,
        "overcluster": how.overcluster is not None,
        "min_free": bool(how.min_free),
        "follow_links": how.walk.follow_links,
        **{name: bool(getattr(how.parts, name)) for name in PartSettings.__dataclass_fields__},
    }
    for name, is_given in refused.items():
        if is_given:
            raise UsageError(
                f"{setting(name)} is for folders of a disk.", "Leave it out, or copy the photographs to a folder."
            )
    file = how.model or (DEFAULT_MODEL if DEFAULT_MODEL.is_file() else None)
    if file is None:
        raise UsageError(
            "Classes are not discovered in photographs at an address.",
            f"Train a model on a sample in a folder, and give it as {setting('model')}.",
        )
    return file


def _listed(photos: Tree, out: Tree, spool: Spool, how: SegmentSettings, progress: Progress) -> Found:
    """List both trees into the spool; return what was passed over, with no photographs."""
    found = Found(Path())
    inside = out.place.removeprefix(f"{photos.place}/") if out.place.startswith(f"{photos.place}/") else ""
    try:
        with progress.stage("Listing", None, unit="files") as stage:
            spool.add_photos(_counted(wanted(photos.files(), inside, how.walk, found), stage))
            suffixes = tuple(PurePosixPath(place("x.png", name)).name[1:] for name in (MASK, *how.outputs))
            masks = (file for file in out.files() if file.path.endswith(suffixes))
            spool.add_masks(file for file in masks if not file.path.startswith(".stego/"))
    except Exception as error:  # the clients of stores have errors without a common base
        raise NoInputError(
            f"{shown(photos.place)} and {shown(out.place)} cannot be listed: {error}.",
            "Check the address and the credentials.",
        ) from error
    if not spool.photos:
        raise NoInputError(f"There is no photograph in {shown(photos.place)}.", "Give the address of a folder of them.")
    return found


def _counted(files: Iterable[Listed], stage: object) -> Iterator[Listed]:
    for file in files:
        stage.advance()  # type: ignore[attr-defined]
        yield file


def _kept_reading(record: Record, asked: Reading) -> Reading | None:
    """Return how those photographs were read whose masks are there; None: there are none, or it was asked otherwise."""
    before = record.identity()
    if before is None:
        return None
    kept = Reading.from_dict(before["reading"]) if "reading" in before else Reading()
    return kept if kept.asked == asked.asked else None


def _decided(photos: Tree, first: list[Remote], asked: Reading, folder: Path, progress: Progress) -> Reading:
    """Return how photographs are read, as a sample of them suggests."""
    deep = [item for item in first if PurePosixPath(item.path).suffix.lower() not in (".jpg", ".jpeg")]
    sample = []
    for number, item in enumerate(deep[:: max(1, len(deep) // _SAMPLE)][:_SAMPLE]):
        file = folder / f"sample-{number}{PurePosixPath(item.path).suffix}"
        try:
            photos.fetch(item.path, file)
        except Exception:  # it is reported when it is fetched for the run
            continue
        sample.append(file)
    return decide_reading(sample, asked, progress)


@dataclass
class Plan:
    """What a run has to do, one group of buckets after the other.

    Attributes:
        out: the output tree; `record`: what was done in it.
        spool: the listing of both trees.
        how: settings of the run.
        summary: gets what is kept and left.
    """

    out: Tree
    record: Record
    spool: Spool
    how: SegmentSettings
    summary: Summary

    def __post_init__(self) -> None:
        self._selection = Selection.parse(self.how.shard, self.how.since)

    def groups(self) -> Iterator[list[Remote]]:
        """Yield the photographs of each group that are to be done."""
        for group in self.spool.groups():
            yield self.of(group)

    def of(self, group: Group) -> list[Remote]:
        """Return the photographs of a group that are to be done."""
        listed = {file.path: file for file in group.photos}
        mine = [photo for photo in with_masks([*listed]) if self._is_selected(photo, listed[photo.path])]
        self.summary.photographs += len(mine)
        entries, owned = ({}, set()) if self.how.overwrite else self.record.entries(group.first, group.last)
        with ThreadPoolExecutor(_READERS) as pool:
            done = pool.map(lambda photo: self._is_done(entries, listed[photo.path], photo, group), mine)
            items = []
            for photo, is_done in zip(mine, done, strict=True):
                entry = entries.get(photo.path)
                if self.how.retry_failed and (entry is None or entry.status != "failed"):
                    self.summary.left += 1
                elif is_done:
                    self.summary.kept += 1
                    self.summary.pixels.update((entry and entry.pixels) or {})
                else:
                    items.append(Remote(listed[photo.path], photo.mask))
        if not self.how.overwrite:
            self._require_own(items, owned | self.record.owned(group.first, group.last), group)
        return items

    def _is_selected(self, photo: Photo, file: Listed) -> bool:
        shard, since = self._selection.shard, self._selection.since
        return (shard is None or shard.holds(photo)) and (since is None or file.mtime < 0 or file.mtime >= since * 1e9)

    def _is_done(self, entries: dict[str, Entry], file: Listed, photo: Photo, group: Group) -> bool:
        """Return whether a photograph is as it was, and its mask the one that was written."""
        entry = entries.get(photo.path)
        if entry is None or entry.status != "done" or entry.mask != photo.mask:
            return False
        mask = group.masks.get(photo.mask)
        if mask is None or any(place(photo.mask, name) not in group.masks for name in self.how.outputs):
            return False
        if (entry.size, entry.mtime) != (file.size, file.mtime) or entry.mask_size != mask.size:
            return False
        if mask.md5 and mask.md5 == entry.mask_md5:
            return True
        return self.out.hash_of(photo.mask) == entry.sha256

    def _require_own(self, items: list[Remote], owned: set[str], group: Group) -> None:
        names = (MASK, *self.how.outputs)
        theirs = [item.mask for item in items if item.mask not in owned]
        theirs = [mask for mask in theirs if any(place(mask, name) in group.masks for name in names)]
        if theirs:
            some = ", ".join(map(shown, theirs[:_NAMED]))
            raise UsageError(
                f"{self.out.place} holds files that this tool did not write, where masks would be written: {some}.",
                f"Give another {setting('out')}, or {setting('overwrite', True)} to replace them.",
            )
