"""From what people download to a data set: OUT/imgs, OUT/labels, OUT/lists, OUT/dataset.json and OUT/contact.jpg.

It grows in a hidden folder beside OUT and gets its name at the end, so that OUT is whole or not there. What is done is
in a journal, so that a killed run goes on; a run that fails leaves nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from stego_cli.datasets.about import FILE, About, read_about
from stego_cli.datasets.contact import FILE as CONTACT
from stego_cli.datasets.contact import contact_sheet
from stego_cli.datasets.example import SIDES, Example, Plan, PrepareSettings, chosen
from stego_cli.datasets.examples_done import JOURNAL, LOCK, Journal
from stego_cli.datasets.layout import LABELS, PHOTOS
from stego_cli.datasets.source import Files, identity
from stego_cli.datasets.table import DATASETS
from stego_cli.datasets.totals import Totals
from stego_cli.datasets.write import Writer, Written, key_of
from stego_cli.errors import NoInputError, OutputError, SourceError, Stopped, UsageError
from stego_cli.images.atomic import write_bytes
from stego_cli.images.lock import hold
from stego_cli.images.streams import map_ahead
from stego_cli.machine import cores
from stego_cli.progress import Progress
from stego_cli.stop import Stop
from stego_cli.text import shown

_CHUNK = 16  # photographs
_SHOWN = 8  # photographs of a split on the contact sheet


@dataclass(frozen=True)
class Prepared:
    """A data set that is there: what it says of itself, whether it was there before, and what was left out and why."""

    about: About
    kept: bool = False
    failures: tuple[tuple[str, str], ...] = ()


def prepared_before(settings: PrepareSettings) -> About | None:
    """Return what OUT says if it is the data set that is asked for, whole; None if it is yet to be made.

    Raises:
        UsageError: OUT holds another data set, or this one damaged, or anything else.
    """
    out = settings.out
    about = read_about(out) if out.is_dir() else None
    if about is None:
        if out.is_file() or (out.is_dir() and any(out.iterdir())):
            raise UsageError(f"{shown(out)} holds something else than a data set.", "Give another --out.")
        return None
    if settings.overwrite:
        return None
    before = {key: value for key, value in about.prepared.items() if key != "sources"}
    differs = [key for key, value in _options(settings).items() if before.get(key) != value]
    there = all(source.exists() for source in settings.sources)  # an archive may be deleted once it was prepared
    if not differs and there and settings.sources and about.prepared.get("sources") != _sources(settings):
        differs = ["source"]
    if differs:
        raise UsageError(
            f"{shown(out)} holds a data set that was prepared otherwise ({', '.join(differs)}).",
            "Give another --out, or --overwrite to replace it.",
        )
    if lost := _lost(out, about):
        raise UsageError(
            f"{lost} photographs or labels of {shown(out)} are missing.", "Give --overwrite to prepare it again."
        )
    return about


def prepare(settings: PrepareSettings, progress: Progress, stop: Stop) -> Prepared:
    """Prepare a data set.

    Raises:
        SourceError: a source is missing, broken, malicious, or not of this data set.
        UsageError: OUT holds something else, or settings do not fit the source.
        OutputError: it cannot be written, or another run writes it.
        Stopped: a signal came; the same command goes on.
    """
    if about := prepared_before(settings):
        return Prepared(about, kept=True)
    if not settings.sources:
        raise UsageError(f"There is no --source for {settings.name}.", DATASETS[settings.name].where or None)
    if settings.link and not all(source.is_dir() for source in settings.sources):
        raise UsageError("--link needs a folder as --source; what is in an archive can only be copied.")
    out = Path(settings.out.absolute())
    partial = out.parent / f".{out.name}.stego-partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(out)} cannot be written: {error.strerror or error}.", "Choose another --out."
        ) from error
    with hold(partial / LOCK, out):
        try:
            return _build(replace(settings, out=out), partial, progress, stop)
        except Stopped as error:
            raise Stopped(
                error.exit_code, "Stopped; the data set is not there yet.", "The same command goes on."
            ) from error
        except Exception:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def plan_of(settings: PrepareSettings, files: Files, progress: Progress) -> Plan:
    """Return what the source holds, cut down to what was asked for.

    Raises:
        SourceError: there is nothing in it.
    """
    plan = DATASETS[settings.name].plan(files, settings, progress)
    examples = chosen(plan.examples, settings)
    if not examples:
        raise SourceError(f"There is no photograph in {' '.join(map(shown, settings.sources))}.")
    names = {key_of(example) for example in examples}
    if len(names) < len(examples):
        raise SourceError("Two photographs of the source have the same name.", "A list may hold a name twice.")
    for note in plan.notes:
        progress.note(note)
    return replace(plan, examples=examples)


def open_files(settings: PrepareSettings) -> Files:
    """Open all sources; a context manager."""
    scratch = settings.out.absolute().parent
    return Files(settings.mounts(), scratch, within=DATASETS[settings.name].archives, skip=settings.out)


def _build(settings: PrepareSettings, partial: Path, progress: Progress, stop: Stop) -> Prepared:
    with progress.stage("Looking through the source", None):
        files = open_files(settings)
    with files:
        stop.check()
        plan = plan_of(settings, files, progress)
        stop.check()
        sources = _sources(settings, files.looked_through)
        journal = Journal(partial, _digest(settings, sources))
        total = Totals(plan)
        if journal.done:
            progress.note(f"Going on: {len(journal.done)} of {len(plan.examples)} were done before.")
        writer = Writer(files, plan, settings, partial)
        with progress.stage("Preparing", len(plan.examples), unit="photographs") as stage, journal:
            for chunk in _written(plan.examples, writer, journal, stop):
                for written in chunk:
                    total.add(written)
                stage.advance(len(chunk))
        stop.check()
    if not any(total.photos.values()):
        raise NoInputError(f"No photograph could be used; {total.failures[0][0]}: {total.failures[0][1]}.")
    about = total.about(settings.name, {**_options(settings), "sources": sources})
    _finish(partial, plan, about, total, resumed=bool(journal.done))
    _put_in_place(partial, settings.out)
    return Prepared(about, failures=tuple(total.failures))


def _written(examples: list[Example], writer: Writer, journal: Journal, stop: Stop) -> Iterator[list[Written]]:
    """Yield what became of the examples, in their order, whether now or in a run before; some at once."""

    def work(chunk: list[Example]) -> list[tuple[Written, bool]]:
        done = []
        for example in chunk:
            if stop.requested is not None:
                break
            before = journal.whole(key_of(example))
            done.append((before, False) if before else (writer.write(example), True))
        return done

    # Copying a photograph takes less time than handing it to a thread, so they are handed over in chunks.
    size = max(1, min(_CHUNK, len(examples) // (4 * cores())))
    chunks = (examples[at : at + size] for at in range(0, len(examples), size))
    with ThreadPoolExecutor(max(2, cores())) as pool:  # also where there is one core, one may wait for the disk
        for done in map_ahead(pool, work, chunks, 4 * cores(), lambda: stop.requested is not None):
            journal.add([written for written, anew in done if anew])
            yield [written for written, _ in done]


def _finish(partial: Path, plan: Plan, about: About, total: Totals, resumed: bool) -> None:
    """Write what speaks of the whole."""
    for split, photos in total.photos.items():
        before = len(f"{PHOTOS}/{split}/")
        lines = "".join(f"{photo[before:].rpartition('.')[0]}\n" for photo in photos)
        write_bytes(partial / "lists" / f"{split}.txt", lines.encode("utf-8", "surrogateescape"))
    if plan.sides:
        write_bytes(partial / SIDES, (json.dumps(dict(sorted(plan.sides.items())), indent=0) + "\n").encode())
    drawn = {
        split: [photos[len(photos) * index // _SHOWN] for index in range(_SHOWN)] if len(photos) > _SHOWN else photos
        for split, photos in total.photos.items()
        if photos
    }
    write_bytes(partial / CONTACT, contact_sheet(partial, drawn, about.table))
    write_bytes(partial / FILE, about.as_json().encode())
    if resumed:
        _remove_unlisted(partial, total)


def _remove_unlisted(partial: Path, total: Totals) -> None:
    """Delete pictures that a killed run had begun and no example counts."""
    listed = {photo for photos in total.photos.values() for photo in photos}
    stems = {photo.partition("/")[2].rpartition(".")[0] for photo in listed}
    for top in (PHOTOS, LABELS):
        for file in (partial / top).rglob("*"):
            name = file.relative_to(partial).as_posix()
            if file.is_file() and not (name in listed or (top == LABELS and name.partition("/")[2][:-4] in stems)):
                file.unlink()


def _put_in_place(partial: Path, out: Path) -> None:
    """Give the finished folder its name; what it replaces goes afterwards."""
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


def _options(settings: PrepareSettings) -> dict[str, object]:
    """Return what of the settings decides the result, as JSON gives it back."""
    kept = {
        key: value
        for key, value in asdict(settings).items()
        if key not in ("sources", "out", "overwrite", "lists", "labels", "palette", "link")
    }
    if settings.palette is not None:
        kept["palette"] = (
            hashlib.sha256(settings.palette.read_bytes()).hexdigest() if settings.palette.is_file() else ""
        )
    options: dict[str, object] = json.loads(json.dumps(kept))
    return options


def _sources(
    settings: PrepareSettings, looked_through: dict[Path, dict[str, int]] | None = None
) -> list[dict[str, object]]:
    sizes = looked_through or {}
    return [identity(source, settings.out, sizes.get(source)) for _, source in settings.mounts()]


def _digest(settings: PrepareSettings, sources: list[dict[str, object]]) -> str:
    content = json.dumps([_options(settings), sources, settings.link], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _lost(out: Path, about: About) -> int:
    """Return how many photographs are fewer than `dataset.json` says."""
    lost = 0
    for split, counts in about.splits.items():
        there = sum(1 for file in (out / PHOTOS / split).rglob("*") if file.is_file())
        labels = sum(1 for file in (out / LABELS / split).rglob("*") if file.is_file())
        lost += max(0, counts.photographs - there) + max(0, counts.labels - labels)
    return lost
