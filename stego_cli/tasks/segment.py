"""Photographs to masks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from stego_cli.crf import resolve_engine
from stego_cli.datasets.layout import photographs_of
from stego_cli.engines.table import engine
from stego_cli.engines.worker import FolderTask, FolderWorker, Item, Work
from stego_cli.errors import OutputError, Stopped, UsageError, setting
from stego_cli.images.atomic import sha256
from stego_cli.images.discover import Found, find_photos
from stego_cli.images.journal import Entry
from stego_cli.inference.contract import ModelInfo
from stego_cli.inference.devices.providers import parse_devices
from stego_cli.inference.loaded import LoadedModel, load_model, read_as
from stego_cli.inference.mask_classes import classes_of_run, require_settled
from stego_cli.inference.output_folder import MadeBy, OutputFolder, decoder_of_run, reading_of_run
from stego_cli.inference.outputs import Outcome, OutputPlan, require_outputs
from stego_cli.inference.own_places import Places, require_own_or_absent
from stego_cli.inference.select import Selection, still_to_do
from stego_cli.inference.summary import Summary
from stego_cli.palette import Colour
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.settings import DEFAULT_RES, SegmentSettings, TrainSettings
from stego_cli.sources.draw import Drawing
from stego_cli.sources.table import SUFFIXES, apart
from stego_cli.stop import NEVER, Stop
from stego_cli.tasks.contact_sheet import FILE as CONTACT_SHEET
from stego_cli.tasks.contact_sheet import write_contact_sheet
from stego_cli.tasks.discover import discover_model
from stego_cli.tasks.model_choice import ModelChoice, model_for_masks
from stego_cli.tasks.photographs import decide_reading, note_passed_over
from stego_cli.tasks.segment_parts import PartsRun, segment_in_parts
from stego_cli.text import shown


@dataclass(frozen=True)
class SegmentResult:
    """What a run did.

    Attributes:
        out: the folder of masks, or its address.
        model: the model file that made them.
        names: of the classes, in the order of their values in the masks.
        colours: of the classes, RGB.
        summary: counts, failures and times.
    """

    out: Path | str
    model: Path
    names: tuple[str, ...]
    colours: list[Colour]
    summary: Summary


def segment(settings: SegmentSettings, progress: Progress, stop: Stop = NEVER) -> SegmentResult:
    """Write a mask for every photograph that does not have one yet, discovering a model first if there is none.

    Args:
        settings: see SegmentSettings.
        progress: shown a stage; gets an event for each photograph.
        stop: on a signal what is in flight is finished, then the run ends.

    Raises:
        UsageError: settings make no sense, masks of a different model or other settings are there, or files that this
            tool did not write.
        NoInputError: there is no photograph.
        ModelError: the model cannot be used.
        OutputError: a mask cannot be written, or less than `min_free` is free.
        Stopped: a signal arrived; everything finished is in the journal.
    """
    with stop.at_once():  # there is nothing to keep before the first mask
        selection, found = find_work(settings, progress)
        choice = model_for_masks(settings.model, settings.out, settings.overwrite)
        _check_choice(choice, settings)
    with OutputFolder(settings.out, settings.shard or "") as folder:
        if not settings.overwrite:
            require_settled(settings.out)
        with stop.at_once():
            file, reading = choice.file, None
            if file is None:
                reading = reading_for(found, settings, None, progress)
                file = _discovered(choice, found, settings, reading, progress, stop)
            if choice.was_discovered:
                progress.note(f"Using the model discovered before, {shown(file)}.")
            elif settings.overwrite and choice.file is not None:  # no mask of a model discovered before is left then
                choice.discovered.unlink(missing_ok=True)
            if not settings.overwrite:
                settings = replace(settings, decoder=decoder_of_run(settings.out, settings.decoder))
            if settings.engine != "local":  # the devices are those of other machines
                settings = replace(settings, decoder="cpu")
            model = load_model(file, here(settings), settings.reading, progress)
            reading = reading or reading_for(found, settings, model.sessions[0].info, progress)
            model, found = read_as(model, reading), selection.of(found)
            settings = replace(settings, parts=parts_for(found, settings, model.sessions[0].info, progress))
            note_passed_over(found, progress, settings.verbose)
        return _write_masks(found, folder, model, settings, progress, stop)


def find_work(settings: SegmentSettings, progress: Progress) -> tuple[Selection, Found]:
    """Refuse what can be refused before anything is done, then list the photographs."""
    selection = Selection.parse(settings.shard, settings.since)
    require_outputs(settings.outputs)
    engine(settings.engine)
    parse_devices(settings.device)
    if settings.crf and settings.crf_engine != "auto":
        resolve_engine(settings.crf_engine)
    photos, is_data = photographs_of(settings.photos)
    if is_data:
        progress.note(
            f"A data set: the photographs in {shown(photos)} are segmented; labels/ holds labels, and is passed over."
        )
    found, notes = apart(find_photos(photos, settings.out, settings.walk, SUFFIXES), photos.is_file())
    for note in notes:
        progress.note(note)
    _check_kinds(found, settings)
    mine = selection.of(found)
    require_own_or_absent(settings.out, [*mine.photos, *mine.large], settings.outputs, settings.overwrite)
    return selection, found


def _check_kinds(found: Found, settings: SegmentSettings) -> None:
    """Refuse settings that have no effect on the kinds of files that there are."""
    if settings.shard and len(found.large) == 1 and not found.photos:
        raise UsageError(
            f"{setting('shard')} divides a folder by its files, and {shown(found.large[0].path)} is one file.",
            f"Leave it out. A raster can be divided by {setting('bbox')}: each run does a box of it into a folder of "
            "its own, and labels at the boxes' edges fit to the pixel; `gdalbuildvrt` makes one mask of them.",
        )
    if settings.parts.steady and not any(PurePosixPath(photo.mask).suffix == "" for photo in found.large):
        raise UsageError(
            f"{setting('steady', True)} is for videos, and there is none in {shown(settings.photos)}.",
            "Leave it out, or make one video of photographs that a camera took one after the other, such as with "
            "`ffmpeg -framerate 2 -pattern_type glob -i 'camera/*.jpg' -c:v ffv1 camera.mkv`.",
        )


def here(settings: SegmentSettings) -> SegmentSettings:
    """Return the settings for the model in this process, whose devices are not used where another engine works."""
    return settings if settings.engine == "local" else replace(settings, device="cpu", workers=None)


def _check_choice(choice: ModelChoice, settings: SegmentSettings) -> None:
    """Refuse settings that do not fit the model that is used."""
    if choice.file is None:
        if settings.shard:
            raise UsageError(
                f"{setting('shard')} needs a model that all parts share.",
                f"Train or discover one and give it as {setting('model')}.",
            )
        if settings.probe != "cluster":
            raise UsageError(
                f"{setting('probe', settings.probe)} needs a model whose linear probe labels trained.",
                f"Give it as {setting('model')}.",
            )
    elif settings.classes is not None or settings.overcluster is not None:
        given = setting("overcluster" if settings.classes is None else "classes")
        if choice.was_discovered:
            raise UsageError(
                f"{shown(settings.out)} holds a model discovered before.",
                f"Leave {given} out to use it, or give {setting('overwrite', True)} to discover again.",
            )
        raise UsageError(f"{given} is for discovery; {shown(choice.file)} has its own classes.", "Leave it out.")


def reading_for(found: Found, settings: SegmentSettings, info: ModelInfo | None, progress: Progress) -> Reading:
    """Return how all pictures of the run are read.

    As those were whose masks are there, else as those that the model was trained on, else as a sample suggests.
    """
    asked = settings.reading if info is None else settings.reading.with_model(info.bands, info.stretch)
    kept = None if settings.overwrite else reading_of_run(settings.out, asked.asked)
    paths = [found.root / photo.path for photo in (*found.photos, *found.large)]
    return kept or decide_reading(paths, asked, progress)


def parts_for(found: Found, settings: SegmentSettings, info: ModelInfo, progress: Progress) -> PartSettings:
    """Return how rasters are worked on: at the ground resolution asked for, else at that which the model knows."""
    asked, known = settings.parts, info.res_ground
    if found.large and known is not None and asked.res_ground is None:
        progress.note(f"Rasters are worked at {known:g} m a pixel, as where the model was trained.")
    elif found.large and known is not None and asked.res_ground != known:
        progress.note(f"The model was trained at {known:g} m a pixel; {asked.res_ground:g} m were asked for.")
    return replace(asked, model_ground=known)


def _discovered(
    choice: ModelChoice, found: Found, settings: SegmentSettings, reading: Reading, progress: Progress, stop: Stop
) -> Path:
    device = parse_devices(settings.device)[0].replace("tensorrt", "cuda")  # torch has no other name for it
    training = TrainSettings(
        classes=settings.classes, overcluster=settings.overcluster, res=settings.res or DEFAULT_RES, device=device
    )
    drawing = Drawing(found, reading, training.res, settings.parts)
    discover_model(drawing, choice.discovered, training, progress, stop)
    return choice.discovered


def _write_masks(
    found: Found, folder: OutputFolder, model: LoadedModel, settings: SegmentSettings, progress: Progress, stop: Stop
) -> SegmentResult:
    started = time.perf_counter()
    summary = Summary(
        len(found.photos) + len(found.large), failed=[(shown(path), reason) for path, reason in found.unreadable]
    )
    made_by = MadeBy(photographs_of(settings.photos)[0], sha256(model.file), model.recipe, settings.parts)
    with (
        Places(folder.root, folder.scratch, settings.outputs) as places,
        folder.open_journal(made_by, settings.overwrite) as journal,
    ):
        classes = classes_of_run(folder.root, model.sessions[0].info, model.recipe.probe, settings.overwrite)
        plan = OutputPlan(
            found.root,
            folder.root,
            folder.scratch,
            model.recipe.refiner,
            classes.colours,
            classes.values,
            settings.outputs,
            model.recipe.reading,
        )
        todo = still_to_do(found, folder.root, journal.entries, settings.outputs, settings.retry_failed, summary)
        in_parts = replace(found, photos=found.large)
        large = still_to_do(in_parts, folder.root, journal.entries, (), settings.retry_failed, summary)
        if summary.kept:
            progress.note(f"{summary.kept} of {summary.photographs} photographs have their masks already.")
        with progress.stage("Segmenting", len(todo), unit="photographs") as stage:
            devices = tuple(session.device for session in model.sessions)
            worker, task = FolderWorker(model, plan, progress), _task(model, plan, settings)
            work = Work(worker, task, model.file, devices, settings, progress)
            for outcome in outcomes(work, places.begin(todo), settings.engine, stop):
                journal.append(outcome.entry)
                places.end(outcome.entry)
                summary.add(outcome)
                report(outcome.entry, progress)
                stage.advance()
                _require_space(folder.root, settings.min_free)
        if stop.requested is None:  # else workers may have done more than was told
            folder.forget_workers()
        run = PartsRun(folder, model, plan, settings, classes.names, journal, places, summary, progress, stop)
        for photo in large:
            if stop.requested is None:
                segment_in_parts(photo, run)
                _require_space(folder.root, settings.min_free)
    wanted = "overlay" in settings.outputs and stop.requested is None and not settings.shard
    if wanted and (summary.done or not (folder.root / CONTACT_SHEET).exists()):
        write_contact_sheet(folder.root, settings.overwrite, progress)
    summary.seconds["total"] = time.perf_counter() - started
    if stop.requested is not None:
        raise Stopped(
            stop.requested,
            f"Stopped: {summary.done + summary.kept} of {summary.photographs} masks are in {shown(folder.root)}.",
            "The same command does the rest.",
        )
    return SegmentResult(settings.out, model.file, classes.names, classes.colours, summary)


def _task(model: LoadedModel, plan: OutputPlan, settings: SegmentSettings) -> FolderTask:
    places = {name: getattr(plan, name).absolute() for name in ("root", "out", "scratch")}
    return FolderTask(settings.of_a_process(), model.recipe.reading, replace(plan, **places))


def outcomes(work: Work[Item], items: Iterable[Item], name: str, stop: Stop) -> Iterator[Outcome]:
    """Yield the outcome of every item from the engine of that name; after a signal, of those that were begun."""
    told = False
    for outcome in engine(name).masks(work, items, lambda: stop.requested is not None):
        if stop.requested is not None and not told:
            work.progress.note("Stopping: what has begun is finished. Ctrl-C again ends at once.")
            told = True
        yield outcome


def report(entry: Entry, progress: Progress) -> None:
    """Report what became of a photograph."""
    path = shown(entry.path)
    if entry.status == "done":
        progress.event("photograph", path=path, status="done", mask=shown(entry.mask or ""))
    else:
        progress.event("photograph", path=path, status="failed", error=entry.error)
        progress.warn(f"{path}: {entry.error}")


def _require_space(out: Path, gigabytes: float) -> None:
    if gigabytes and shutil.disk_usage(out).free < gigabytes * 1e9:
        raise OutputError(
            f"Less than {setting('min_free', gigabytes)} GB is free at {shown(out)}.",
            "Free some space and run the same again: it does the rest.",
        )
