"""`stego segment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import CrfEngineOption, WorkersOption, chosen_engine

if TYPE_CHECKING:
    from stego_cli.images.discover import Found
    from stego_cli.inference.session import Session
    from stego_cli.settings import SegmentSettings
    from stego_cli.ui import Ui

HELP = """Write a mask for every photograph in a folder.

A mask is a palette PNG, pixel value = class. Masks mirror the folder (x/a.jpg gets MASKS/x/a.png), each at its
photograph's own size as a viewer shows it. The model is --model, else one discovered for MASKS before, else
./stego.onnx, else classes are discovered in these photographs first and the model is kept in MASKS/.stego. The same
command again does only what is missing or has changed.

Of a data set (imgs/ with labels/ beside it) the photographs in imgs/ are taken. Links to files are followed, links to
folders are not. Hidden files, and folders that hold masks, are passed over.
Of an animation the first frame is taken; transparency is laid over white.

\b
Examples:
  stego segment ./photos --out ./masks
  stego segment ./photos --out ./masks --classes 8 --overlay
  stego segment ./photos --out ./masks --model street.onnx --no-crf
  stego segment ./photos --out ./masks --dry-run
  stego segment ./photos --out ./masks --model stego.onnx --shard 2/8
  stego segment ./photos --out ./masks --since 7d --min-free 5
  stego segment ./photos --out ./masks --json > log.ndjson
"""


def command(
    photos: Annotated[Path, typer.Argument(help="A folder of photographs, or one photograph.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MASKS", help="Folder for the masks.")],
    model: Annotated[
        Path | None, typer.Option(help="A file that `stego export-onnx` wrote.", show_default="see above")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            help="Number of classes to discover, 2 to 256.", show_default="as many as are found again and again"
        ),
    ] = None,
    crf: Annotated[bool, typer.Option("--crf/--no-crf", help="Sharpen masks along edges with a dense CRF.")] = True,
    crf_engine: CrfEngineOption = "auto",
    probe: Annotated[str, typer.Option(help="cluster, or linear if labels trained one.")] = "cluster",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write x.overlay.jpg beside each mask.")] = False,
    res: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at work, pixels.", show_default="the model's own")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, cuda:0,1 or tensorrt.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="Photographs of one shape run together, or auto.")] = "auto",
    workers: WorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make all masks again, and a discovered model.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and how long it is likely to take; write nothing.")
    ] = False,
    shard: Annotated[
        str, typer.Option(metavar="I/N", help="Do part I of N; the parts may run at once into one MASKS.")
    ] = "",
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="Only photographs changed since a date, or a time back such as 12h, 7d.")
    ] = "",
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Only photographs that failed before.")] = False,
    keep_probabilities: Annotated[
        bool, typer.Option("--keep-probabilities", help="Also write x.probs.npz: log-probabilities in 8 bits.")
    ] = False,
    min_free: Annotated[
        float, typer.Option(metavar="GB", min=0, help="End the run when less disk space than this is free.")
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,
) -> None:
    """Segment a tree of photographs."""
    from stego_cli.commands.segment_model import model_that_is_there, model_to_use, open_sessions
    from stego_cli.commands.segment_show import show_passed_over, show_summary
    from stego_cli.datasets.layout import photographs_of
    from stego_cli.errors import UsageError
    from stego_cli.images.discover import find_photos
    from stego_cli.inference.output import OutputFolder
    from stego_cli.inference.select import Shard, chosen, parse_since
    from stego_cli.settings import CrfSettings, SegmentSettings
    from stego_cli.stop import Stop
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    if probe not in ("cluster", "linear"):
        raise UsageError(f"--probe is {probe!r}; it is cluster or linear.")
    batch = _batch_size(batch_size)
    ui = Ui(as_json)
    part, changed = Shard.parse(shard) if shard else None, parse_since(since) if since else None
    if crf and crf_engine != "auto":
        chosen_engine(crf_engine, ui)  # a wrong name is refused before anything is done
    photos, is_data = photographs_of(photos)
    if is_data:
        ui.note(
            f"A data set: the photographs in {shown(photos)} are segmented; labels/ holds labels, and is passed over."
        )
    found = find_photos(photos, exclude=out)
    settings = SegmentSettings(
        model=model or Path(),
        photos=photos,
        out=out,
        res=res,
        crf=CrfSettings() if crf else None,
        probe=probe,
        crf_engine=crf_engine,
        overlay=overlay,
        probabilities=keep_probabilities,
        device=device,
        batch_size=batch,
        workers=workers,
        overwrite=overwrite,
        retry_failed=retry_failed,
        min_free=min_free,
        shard=shard,
    )
    there = model_that_is_there(model, out, overwrite)
    if dry_run:
        found.photos = chosen(found, part, changed)
        _forecast(found, there, settings, ui)
        return
    if part and there is None:
        raise UsageError("--shard needs a model that all parts share.", "Train or discover one and give it as --model.")
    with OutputFolder(out, shard) as output, Stop() as stop:
        file = model_to_use(model, classes, probe, res, device, overwrite, found, output, ui, stop)
        found.photos = chosen(found, part, changed)
        sessions, labellers, settings = open_sessions(file, settings, ui)
        names = _names(sessions[0], probe, shown(file))
        show_passed_over(found, ui)
        from stego_cli.inference.segment import segment

        summary = segment(found, output, sessions, settings, ui, stop, labellers)
    show_summary(summary, names, ui)
    if summary.done or summary.kept:
        ui.line(f"Masks are in {shown(out)}.")  # no event: the summary is the last of them
    if summary.failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _forecast(found: Found, model: Path | None, settings: SegmentSettings, ui: Ui) -> None:
    from stego_cli.commands.segment_model import open_sessions
    from stego_cli.commands.segment_show import show_forecast
    from stego_cli.inference.dry_run import forecast

    sessions: list[Session] = []
    if model is not None:
        sessions, _, settings = open_sessions(model, settings, ui)
    result = forecast(found, settings.out, sessions[0] if sessions else None, settings)
    show_forecast(result, None if model is None else str(model), ui)


def _names(session: Session, probe: str, model: str) -> tuple[str, ...]:
    from stego_cli.errors import UsageError

    names = session.info.names(probe)
    if not names:
        raise UsageError(f"{model} has no linear probe.", "Train with --labels, or leave out --probe.")
    return names


def _batch_size(text: str) -> int | None:
    from stego_cli.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or not int(text):
        raise UsageError(f"--batch-size is {text!r}; it is auto or a number from 1.")
    return int(text)
