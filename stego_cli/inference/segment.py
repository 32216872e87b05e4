"""A tree of photographs to a tree of masks: what is to be done, the pipeline that does it, and the account of it."""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from stego_cli.errors import OutputError, Stopped
from stego_cli.images.atomic import sha256
from stego_cli.images.discover import Found, Photo
from stego_cli.images.journal import Entry, is_done
from stego_cli.inference.finish import OVERLAY, PROBABILITIES, Finished, Plan, companion
from stego_cli.inference.output import OutputFolder
from stego_cli.inference.pipeline import Labeller, Pipeline
from stego_cli.inference.session import Session
from stego_cli.progress import Progress, Stage
from stego_cli.settings import SegmentSettings
from stego_cli.stop import Stop
from stego_cli.text import shown

STAGES = ("decode", "infer", "refine", "encode", "write")


@dataclass
class Summary:
    """What a run did.

    Attributes:
        photographs: found.
        done: masks written by this run; `kept`: masks that an earlier run had finished.
        left: photographs that this run was not asked to look at.
        failed: path and reason of each photograph or folder that has no mask.
        seconds: time by stage, summed over threads and processes; "total" is the wall clock.
        pixels: pixels by class over all masks of these photographs, earlier runs' included.
    """

    photographs: int
    done: int = 0
    kept: int = 0
    left: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    pixels: Counter[int] = field(default_factory=Counter)

    @property
    def limit(self) -> str | None:
        """The stage that took the most time, which a faster run would have to shorten first."""
        stages = [stage for stage in STAGES if self.seconds.get(stage)]
        return max(stages, key=lambda stage: self.seconds[stage]) if stages else None


def segment(
    found: Found,
    output: OutputFolder,
    sessions: Sequence[Session],
    settings: SegmentSettings,
    progress: Progress,
    stop: Stop,
    labellers: Sequence[Labeller] = (),
) -> Summary:
    """Write a mask for every photograph that does not have one yet.

    Args:
        found: the photographs of this run.
        output: the folder, held by the caller.
        sessions: the model, on each device.
        settings: see SegmentSettings; the CRF engine is resolved.
        progress: shown a stage; gets an event for each photograph.
        stop: on a signal what is in flight is finished, then the run ends.
        labellers: what does all from the network to the labels on a GPU, one for each; none: it is done here.

    Raises:
        UsageError: masks of a different model or other settings are there.
        OutputError: a mask cannot be written, or less than `min_free` is free.
        Stopped: a signal came; everything finished is in the journal.
    """
    started = time.perf_counter()
    info = sessions[0].info
    settings = replace(settings, res=settings.res or info.res)
    summary = Summary(len(found.photos), failed=[(shown(path), reason) for path, reason in found.unreadable])
    plan = Plan(
        root=found.root,
        out=output.root,
        scratch=output.scratch,
        crf=settings.crf,
        crf_engine=settings.crf_engine,
        colours=info.colours(settings.probe),
        overlay=settings.overlay,
        probabilities=settings.probabilities,
    )
    with output.open_journal(settings, sha256(settings.model)) as journal:
        todo = to_do(found, output.root, journal.entries, settings, summary)
        if summary.kept:
            progress.note(f"{summary.kept} of {summary.photographs} photographs have their masks already.")
        with progress.stage("Segmenting", len(todo), unit="photographs") as stage:
            pipeline, told = Pipeline(sessions, labellers, settings, plan, progress), False
            for finished in pipeline.masks(todo, lambda: stop.requested is not None):
                if stop.requested is not None and not told:
                    progress.note("Stopping: what has begun is finished. Ctrl-C again ends at once.")
                    told = True
                journal.append(finished.entry)
                _count(finished, summary, progress, stage)
                _require_space(output, settings.min_free)
    summary.seconds["total"] = time.perf_counter() - started
    if stop.requested is not None:
        raise Stopped(
            stop.requested,
            f"Stopped: {summary.done + summary.kept} of {summary.photographs} masks are in {shown(output.root)}.",
            "The same command does the rest.",
        )
    return summary


def to_do(
    found: Found, masks: Path, entries: dict[str, Entry], settings: SegmentSettings, summary: Summary
) -> list[Photo]:
    """Return the photographs without a mask, or those that failed before; counts the others in `summary`."""
    todo = []
    suffixes = [OVERLAY] * settings.overlay + [PROBABILITIES] * settings.probabilities
    for photo in found.photos:
        entry = entries.get(photo.path)
        if settings.retry_failed and (entry is None or entry.status != "failed"):
            summary.left += 1
        elif is_done(entry, photo, found.root, masks) and all(
            (masks / companion(photo.mask, suffix)).is_file() for suffix in suffixes
        ):
            summary.kept += 1
            summary.pixels.update((entry and entry.pixels) or {})
        else:
            todo.append(photo)
    return todo


def _require_space(output: OutputFolder, gigabytes: float) -> None:
    if gigabytes and shutil.disk_usage(output.root).free < gigabytes * 1e9:
        raise OutputError(
            f"Less than --min-free {gigabytes:g} GB is free at {shown(output.root)}.",
            "Free some space and give the same command again: it does the rest.",
        )


def _count(finished: Finished, summary: Summary, progress: Progress, stage: Stage) -> None:
    entry, path = finished.entry, shown(finished.entry.path)
    for name, seconds in finished.seconds.items():
        summary.seconds[name] += seconds
    if entry.status == "done":
        summary.done += 1
        summary.pixels.update(entry.pixels or {})
        progress.event("photograph", path=path, status="done", mask=shown(entry.mask or ""))
    else:
        summary.failed.append((path, entry.error or "failed"))
        progress.event("photograph", path=path, status="failed", error=entry.error)
        progress.warn(f"{path}: {entry.error}")
    stage.advance()
