"""From a source to a data set: OUT/imgs, OUT/labels, OUT/lists, OUT/dataset.json and OUT/contact.jpg.

It is made in a hidden folder beside OUT that is renamed at the end, so OUT is complete or not there. A journal says
what is done, so a killed run goes on where it stopped; a run that fails leaves nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.datasets.about import FILE, About
from stego_cli.datasets.catalogue import DATASETS
from stego_cli.datasets.contact_sheet import FILE as CONTACT
from stego_cli.datasets.contact_sheet import contact_sheet
from stego_cli.datasets.folder_splits import SIDES
from stego_cli.datasets.inventory import Inventory, Item
from stego_cli.datasets.items_done import JOURNAL, LOCK, ItemsDone
from stego_cli.datasets.layout import LABELS, PHOTOS
from stego_cli.datasets.recorded import digest_of, options, sources_of
from stego_cli.datasets.source import Files, mounts
from stego_cli.datasets.split_counts import SplitCounts
from stego_cli.datasets.subset import subset
from stego_cli.datasets.write import Writer, Written
from stego_cli.errors import NoInputError, OutputError, SourceError, Stopped, setting
from stego_cli.images.atomic import write_bytes
from stego_cli.images.lock import hold
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.progress import Progress
from stego_cli.settings import PrepareSettings
from stego_cli.stop import Stop
from stego_cli.text import shown

_CHUNK = 16  # photographs
_SHOWN = 8  # photographs of a split on the contact sheet


@dataclass(frozen=True)
class Prepared:
    """A data set that is there: its description, whether it was there before, and what was left out and why."""

    about: About
    kept: bool = False
    failures: tuple[tuple[str, str], ...] = ()


def build(settings: PrepareSettings, given: Sequence[Path], progress: Progress, stop: Stop) -> Prepared:
    """Make a data set out of the sources `given`.

    Raises:
        SourceError: a source is missing, broken, malicious, or not of this data set.
        UsageError: settings do not fit the source.
        OutputError: OUT cannot be written, or another run writes it.
        Stopped: a signal came; the same command goes on.
    """
    out = settings.out.absolute()
    partial = out.parent / f".{out.name}.stego-partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(out)} cannot be written: {error.strerror or error}.", f"Choose another {setting('out')}."
        ) from error
    with hold(partial / LOCK, out):
        try:
            prepared = _fill(partial, settings, given, progress, stop)
            _put_in_place(partial, out)
            return prepared
        except Stopped as error:
            raise Stopped(
                error.exit_code, "Stopped; the data set is not there yet.", "The same command goes on."
            ) from error
        except Exception:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def open_files(settings: PrepareSettings, given: Sequence[Path]) -> Files:
    """Open the sources `given`; a context manager."""
    out = settings.out.absolute()
    return Files(mounts(settings, given), out.parent, within=DATASETS[settings.name].archives, skip=out)


def inventory_of(settings: PrepareSettings, files: Files, progress: Progress) -> Inventory:
    """Return what is in the source, reduced to the part that is asked for.

    Raises:
        SourceError: there is no photograph in it, or it is not of this data set.
    """
    inventory = DATASETS[settings.name].find(files, settings, progress)
    items = subset(inventory.items, settings.limit, settings.fraction, settings.seed)
    if not items:
        raise SourceError(f"There is no photograph in {files.given}.")
    if len({item.key for item in items}) < len(items):
        raise SourceError("Two photographs of the source have the same name.", "A list may have a name twice.")
    for note in inventory.notes:
        progress.note(note)
    return replace(inventory, items=items)


def _fill(partial: Path, settings: PrepareSettings, given: Sequence[Path], progress: Progress, stop: Stop) -> Prepared:
    with progress.stage("Looking through the source", None):
        files = open_files(settings, given)
    with files:
        stop.check()
        inventory = inventory_of(settings, files, progress)
        stop.check()
        sources = sources_of(settings, given, files.looked_through)
        done = ItemsDone(partial, digest_of(settings, sources))
        counts = SplitCounts(inventory)
        if done.before:
            progress.note(f"Going on: {len(done.before)} of {len(inventory.items)} were done before.")
        writer = Writer(files, inventory, settings, partial)
        with progress.stage("Preparing", len(inventory.items), unit="photographs") as stage, done:
            for chunk in _written(inventory.items, writer, done, stop):
                for written in chunk:
                    counts.add(written)
                stage.advance(len(chunk))
        stop.check()
    if not any(counts.photos.values()):
        raise NoInputError(f"No photograph could be used; {counts.failures[0][0]}: {counts.failures[0][1]}.")
    about = counts.about(settings.name, {**options(settings), "sources": sources})
    _finish(partial, inventory, about, counts)
    if done.before:
        _remove_unlisted(partial, counts)
    return Prepared(about, failures=tuple(counts.failures))


def _written(items: list[Item], writer: Writer, done: ItemsDone, stop: Stop) -> Iterator[list[Written]]:
    """Yield what became of the items, in their order, in this run or in one before, several at once."""

    def work(chunk: list[Item]) -> list[tuple[Written, bool]]:
        results = []
        for item in chunk:
            if stop.requested is not None:
                break
            before = done.complete(item.key)
            results.append((before, False) if before else (writer.write(item), True))
        return results

    # Copying a photograph takes less time than passing it to a thread, so they are passed in chunks.
    size = max(1, min(_CHUNK, len(items) // (4 * cores())))
    chunks = (items[at : at + size] for at in range(0, len(items), size))
    with ThreadPoolExecutor(max(2, cores())) as pool:  # on one core, too, one may wait for the disk
        for results in map_ahead(pool, work, chunks, 4 * cores(), lambda: stop.requested is not None):
            done.add([written for written, anew in results if anew])
            yield [written for written, _ in results]


def _finish(partial: Path, inventory: Inventory, about: About, counts: SplitCounts) -> None:
    """Write the files about the data set as a whole."""
    for split, photos in counts.photos.items():
        before = len(f"{PHOTOS}/{split}/")
        lines = "".join(f"{photo[before:].rpartition('.')[0]}\n" for photo in photos)
        write_bytes(partial / "lists" / f"{split}.txt", lines.encode("utf-8", "surrogateescape"))
    if inventory.sides:
        write_bytes(partial / SIDES, (json.dumps(dict(sorted(inventory.sides.items())), indent=0) + "\n").encode())
    drawn = {
        split: [photos[len(photos) * index // _SHOWN] for index in range(_SHOWN)] if len(photos) > _SHOWN else photos
        for split, photos in counts.photos.items()
        if photos
    }
    write_bytes(partial / CONTACT, contact_sheet(partial, drawn, about.table))
    write_bytes(partial / FILE, about.as_json().encode())


def _remove_unlisted(partial: Path, counts: SplitCounts) -> None:
    """Delete pictures that a killed run had begun and that belong to no item."""
    listed = {photo for photos in counts.photos.values() for photo in photos}
    stems = {photo.partition("/")[2].rpartition(".")[0] for photo in listed}
    for top in (PHOTOS, LABELS):
        for file in (partial / top).rglob("*"):
            name = file.relative_to(partial).as_posix()
            if file.is_file() and not (name in listed or (top == LABELS and name.partition("/")[2][:-4] in stems)):
                file.unlink()


def _put_in_place(partial: Path, out: Path) -> None:
    """Rename the finished folder to its name, and delete what it replaces."""
    old = out.parent / f".{out.name}.stego-old"
    try:
        shutil.rmtree(old, ignore_errors=True)
        (partial / JOURNAL).unlink()
        (partial / LOCK).unlink()
        if out.exists():
            out.rename(old)
        partial.rename(out)
    except OSError as error:
        raise OutputError(f"{shown(out)} cannot be written: {error.strerror or error}.") from error
    shutil.rmtree(old, ignore_errors=True)
