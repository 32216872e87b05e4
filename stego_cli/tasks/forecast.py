"""What `segment` would do and how long it is likely to take, without writing anything."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry, read_entries
from stego_cli.inference.loaded import LoadedModel, load_model, read_as
from stego_cli.inference.output_folder import journals
from stego_cli.inference.predict import predict
from stego_cli.inference.select import still_to_do
from stego_cli.inference.summary import Summary
from stego_cli.part_settings import PartSettings
from stego_cli.progress import Progress
from stego_cli.settings import SegmentSettings
from stego_cli.tasks.model_choice import model_for_masks
from stego_cli.tasks.photographs import note_passed_over
from stego_cli.tasks.segment import find_work, parts_for, reading_for
from stego_cli.tasks.segment_parts import open_parts
from stego_cli.text import shown

_SAMPLE = 3  # photographs that are taken all the way, to estimate the time of the others


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        photographs: found; `kept`: have their masks; `left`: not asked for; `todo`: would be done.
        parts: windows, slices and frames of those of them that are segmented in parts.
        seconds: expected for them; None where nothing is to be done or there is no model to try.
        bytes: expected size of their masks, from those that exist; None without any.
        failed: path and reason of photographs of the sample that cannot be done.
        model: the model that would be used; None: one would be discovered first.
    """

    photographs: int
    kept: int
    left: int
    todo: int
    seconds: float | None
    bytes: int | None
    failed: list[tuple[str, str]]
    model: Path | None
    parts: int = 0


def forecast(settings: SegmentSettings, progress: Progress) -> Forecast:
    """Count what is to be done and time a few photographs, spread over the list, from file to labels.

    Raises:
        UsageError: settings make no sense.
        NoInputError: there is no photograph.
        ModelError: the model cannot be used.
    """
    selection, found = find_work(settings, progress)
    file = model_for_masks(settings.model, settings.out, settings.overwrite).file
    everything = found
    note_passed_over(found, progress, settings.verbose)
    found = selection.of(found)
    summary = Summary(len(found.photos) + len(found.large))
    entries = {} if settings.overwrite else read_entries(journals(settings.out))
    todo = still_to_do(found, settings.out, entries, settings.outputs, settings.retry_failed, summary)
    in_parts = replace(found, photos=found.large)
    large = still_to_do(in_parts, settings.out, entries, (), settings.retry_failed, summary)
    seconds, failed, parts = None, list[tuple[str, str]](), 0
    if file is not None:
        model = load_model(file, settings, settings.reading, progress)
        model = read_as(model, reading_for(everything, settings, model.sessions[0].info, progress))
        settings = replace(settings, parts=parts_for(found, settings, model.sessions[0].info, progress))
        fastest, failed = _fastest(found.root, todo[:: max(1, len(todo) // _SAMPLE)][:_SAMPLE], model)
        in_all = None if fastest is None else fastest * len(todo)
        for photo in large:
            count, fastest, reasons = _fastest_part(found.root / photo.path, photo, model, settings.parts)
            parts, failed = parts + count, failed + reasons
            in_all = in_all if fastest is None else (in_all or 0.0) + fastest * count
        # On the CPU photographs go side by side.
        seconds = in_all and in_all / (model.lanes if model.sessions[0].device == "cpu" else 1)
    return Forecast(
        photographs=summary.photographs,
        kept=summary.kept,
        left=summary.left,
        todo=len(todo) + len(large),
        seconds=seconds,
        bytes=_expected_bytes(settings.out, entries.values(), len(todo)),
        failed=failed,
        model=file,
        parts=parts,
    )


def _fastest_part(
    file: Path, photo: Photo, model: LoadedModel, parts: PartSettings
) -> tuple[int, float | None, list[tuple[str, str]]]:
    """Return the number of parts of a file, the seconds of the fastest of a few, and why the file cannot be done."""
    spent = []
    try:
        with open_parts(file, photo, model, parts) as source:
            keys = source.keys()
            for key in source.begin(keys[:_SAMPLE]):
                clock = time.perf_counter()
                with contextlib.suppress(PhotoError):  # an empty part, or one that is broken
                    predict(model.sessions[0], source.decode(key), model.recipe)
                    spent.append(time.perf_counter() - clock)
    except PhotoError as error:
        return 0, None, [(shown(photo.path), error.message)]
    return len(keys), min(spent, default=None), []


def _fastest(root: Path, sample: list[Photo], model: LoadedModel) -> tuple[float | None, list[tuple[str, str]]]:
    """Return the seconds of the fastest photograph, and the path and reason of those that cannot be done.

    The first one includes what happens once; the fastest of a few is nearer to what the rest will take.
    """
    spent, failed = [], []
    session, recipe = model.sessions[0], model.recipe
    for photo in sample:
        clock = time.perf_counter()
        try:
            predict(session, decode(root / photo.path, recipe.res, session.info.patch, recipe.reading), recipe)
            spent.append(time.perf_counter() - clock)
        except PhotoError as error:
            failed.append((shown(photo.path), error.message))
        except (OSError, ValueError) as error:
            failed.append((shown(photo.path), str(error)))
    return min(spent, default=None), failed


def _expected_bytes(masks: Path, entries: Iterable[Entry], todo: int) -> int | None:
    files = [masks / entry.mask for entry in entries if entry.mask is not None]
    sizes = [file.stat().st_size for file in files if file.is_file()]
    return round(sum(sizes) / len(sizes) * todo) if sizes else None
