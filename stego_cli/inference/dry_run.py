"""What a run would do and how long it is likely to take, without writing anything."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from stego_cli.crf import refine
from stego_cli.errors import PhotoError
from stego_cli.images.decode import decode
from stego_cli.images.discover import Found
from stego_cli.images.journal import read_entries
from stego_cli.images.masks import labels_at
from stego_cli.inference.output import journals
from stego_cli.inference.pipeline import lanes
from stego_cli.inference.segment import Summary, to_do
from stego_cli.inference.session import Session
from stego_cli.inference.tiles import in_tiles
from stego_cli.settings import SegmentSettings
from stego_cli.text import shown

_SAMPLE = 3  # photographs that are worked through to estimate the time of all


@dataclass(frozen=True)
class Forecast:
    """What a run would do.

    Attributes:
        photographs: found; `kept`: have their masks; `left`: not asked for; `todo`: would be done.
        seconds: expected for them; None where nothing is to be done or no model is there to try.
        bytes: expected size of their masks, from those that are there; None without any.
        failed: path and reason of photographs of the sample that cannot be done.
    """

    photographs: int
    kept: int
    left: int
    todo: int
    seconds: float | None
    bytes: int | None
    failed: list[tuple[str, str]]


def forecast(found: Found, out: Path, session: Session | None, settings: SegmentSettings) -> Forecast:
    """Count what is to be done and time a few photographs, spread over the list, from file to labels."""
    summary = Summary(len(found.photos))
    entries = {} if settings.overwrite else read_entries(journals(out))
    todo = to_do(found, out, entries, settings, summary)
    failed: list[tuple[str, str]] = []
    seconds = None
    if session is not None and todo:
        settings = replace(settings, res=settings.res or session.info.res)
        spent = []
        for photo in todo[:: max(1, len(todo) // _SAMPLE)][:_SAMPLE]:
            clock = time.perf_counter()
            try:
                _work_through(found.root / photo.path, session, settings)
                spent.append(time.perf_counter() - clock)
            except (PhotoError, OSError) as error:
                failed.append((shown(photo.path), str(error)))
        if spent:
            # The first one warms up; the quickest of a few is nearer to what the rest will take.
            side_by_side = lanes(settings) if session.device == "cpu" else 1
            seconds = min(spent) * len(todo) / side_by_side
    masks = [out / entry.mask for entry in entries.values() if entry.mask is not None]
    sizes = [mask.stat().st_size for mask in masks if mask.is_file()]
    mean = sum(sizes) / len(sizes) if sizes else None
    return Forecast(
        photographs=summary.photographs,
        kept=summary.kept,
        left=summary.left,
        todo=len(todo),
        seconds=seconds,
        bytes=None if mean is None else round(mean * len(todo)),
        failed=failed,
    )


def _work_through(path: Path, session: Session, settings: SegmentSettings) -> None:
    info = session.info
    decoded = decode(path, settings.res or info.res, info.patch)
    log_probs = in_tiles(decoded.pixels[None], info.patch, lambda images: session.log_probs(images, settings.probe))[0]
    if settings.crf is not None:
        log_probs = refine(decoded.pixels, log_probs, settings.crf, settings.crf_engine)
    labels_at(log_probs, decoded.size)
