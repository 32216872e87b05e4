"""`stego segment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import CrfEngineOption, WorkersOption, chosen_engine

if TYPE_CHECKING:
    from stego_cli.images.discover import Found
    from stego_cli.inference.output import OutputFolder
    from stego_cli.inference.segment import Summary
    from stego_cli.inference.session import Session
    from stego_cli.progress import Progress
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

HELP = """Write a mask for every photograph in a folder.

A mask is a palette PNG, pixel value = class. Masks mirror the folder (x/a.jpg gets MASKS/x/a.png), each at its
photograph's own size as a viewer shows it. The model is --model, else one discovered for MASKS before, else
./stego.onnx, else classes are discovered in these photographs first and the model is kept in MASKS/.stego. The same
command again does only what is missing or has changed.

Links to files are followed, links to folders are not. Hidden files, and folders that hold masks, are passed over.
Of an animation the first frame is taken; transparency is laid over white.

\b
Examples:
  stego segment ./photos --out ./masks
  stego segment ./photos --out ./masks --classes 8 --overlay
  stego segment ./photos --out ./masks --model street.onnx --no-crf
  stego segment ./photos --out ./masks --json > log.ndjson
"""
_DEFAULT_MODEL = Path("stego.onnx")


def command(
    photos: Annotated[Path, typer.Argument(help="A folder of photographs, or one photograph.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="MASKS", help="Folder for the masks.")],
    model: Annotated[
        Path | None, typer.Option(help="A file that `stego export-onnx` wrote.", show_default="see above")
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(help="Number of classes to discover, 2 to 256.", show_default="from the number of photographs"),
    ] = None,
    crf: Annotated[bool, typer.Option("--crf/--no-crf", help="Sharpen masks along edges with a dense CRF.")] = True,
    crf_engine: CrfEngineOption = "auto",
    probe: Annotated[str, typer.Option(help="cluster, or linear if labels trained one.")] = "cluster",
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write x.overlay.jpg beside each mask.")] = False,
    res: Annotated[
        int | None, typer.Option(min=16, help="Shorter side at work, pixels.", show_default="the model's own")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    batch_size: Annotated[str, typer.Option(help="Photographs of one shape run together, or auto.")] = "auto",
    workers: WorkersOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make all masks again, and a discovered model.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,
) -> None:
    """Segment a tree of photographs."""
    from stego_cli.errors import UsageError
    from stego_cli.images.atomic import shown
    from stego_cli.images.discover import find_photos
    from stego_cli.inference.output import OutputFolder
    from stego_cli.settings import CrfSettings, SegmentSettings
    from stego_cli.stop import Stop
    from stego_cli.ui import Ui

    if probe not in ("cluster", "linear"):
        raise UsageError(f"--probe is {probe!r}; it is cluster or linear.")
    batch = _batch_size(batch_size)
    ui = Ui(as_json)
    if crf:
        crf_engine = chosen_engine(crf_engine, ui)
    found = find_photos(photos, exclude=out)
    with OutputFolder(out) as output, Stop() as stop:
        chosen = _model(model, classes, probe, res, device, overwrite, found, output, ui, stop)
        from stego_cli.inference.segment import segment
        from stego_cli.inference.session import Session

        session = Session.from_file(chosen, device)
        names = _names(session, probe, shown(chosen))
        ui.note(f"Model {shown(chosen)} ({len(names)} classes) on {session.device} ({session.why}).")
        _tell_passed_over(found, ui)
        settings = SegmentSettings(
            model=chosen, photos=photos, out=out, res=res, crf=CrfSettings() if crf else None, probe=probe,
            crf_engine=crf_engine, overlay=overlay, device=device, batch_size=batch, workers=workers,
            overwrite=overwrite,
        )  # fmt: skip
        summary = segment(found, output, session, settings, ui, stop)
    _show(summary, names, ui)
    if summary.done or summary.kept:
        ui.line(f"Masks are in {shown(out)}.")  # no event: the summary is the last of them
    if summary.failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _tell_passed_over(found: Found, ui: Ui) -> None:
    from stego_cli.images.atomic import shown

    if found.others:
        ui.note(f"{found.others} other file{'s' if found.others > 1 else ''} passed over.")
    for folder in found.outputs:
        ui.note(f"{shown(folder)} holds masks of another run and is passed over.")


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


def _model(
    model: Path | None, classes: int | None, probe: str, res: int | None, device: str, overwrite: bool,
    found: Found, output: OutputFolder, progress: Progress, stop: Stop,
) -> Path:  # fmt: skip
    """Return the model to use, discovering one if there is none."""
    from stego_cli.errors import UsageError
    from stego_cli.images.atomic import shown

    if model is None and _DEFAULT_MODEL.is_file() and (overwrite or not output.discovered.is_file()):
        model = _DEFAULT_MODEL
    if model is not None:
        if classes is not None:
            raise UsageError(f"--classes is for discovery; {shown(model)} has its own classes.", "Leave it out.")
        if overwrite:  # no mask will be left that a model discovered before has made
            output.discovered.unlink(missing_ok=True)
        return model
    if output.discovered.is_file() and not overwrite:
        if classes is not None:
            raise UsageError(
                f"{shown(output.root)} holds a model discovered before.",
                "Leave --classes out to use it, or give --overwrite to discover again.",
            )
        progress.note(f"Using the model discovered before, {shown(output.discovered)}.")
        return output.discovered
    if probe != "cluster":
        raise UsageError("--probe linear needs a model whose linear probe labels trained.", "Give it as --model.")
    from export.discovered import discover_model
    from stego_cli.settings import DEFAULT_RES, TrainSettings

    settings = TrainSettings(classes=classes, res=res or DEFAULT_RES, device=device)
    discover_model(found, output.discovered, settings, progress, stop)
    return output.discovered


def _show(summary: Summary, names: tuple[str, ...], ui: Ui) -> None:
    """Show what was done: photographs, failures, time by stage, share of pixels by class."""
    seconds = {name: round(value, 2) for name, value in summary.seconds.items()}
    total = summary.pixels.total() or 1
    shares = {names[index]: count / total for index, count in sorted(summary.pixels.items())}
    ui.event(
        "summary", photographs=summary.photographs, done=summary.done, kept=summary.kept, failed=len(summary.failed),
        seconds=seconds, shares={name: round(share, 4) for name, share in shares.items()},
    )  # fmt: skip
    wall = summary.seconds["total"]
    rows = [
        ("photographs", str(summary.photographs)),
        (
            "masks written",
            f"{summary.done}" + (f" in {wall:.1f} s, {summary.done / wall:.2f}/s" if summary.done else ""),
        ),
        *([("masks kept", str(summary.kept))] if summary.kept else []),
        ("failed", str(len(summary.failed))),
        *(
            (f"  {name}", f"{summary.seconds[name]:.1f} s")
            for name in ("decode", "infer", "refine", "encode", "write")
            if name in summary.seconds
        ),
    ]
    ui.table("", ("", ""), rows)
    if shares:
        ui.table("", ("class", "pixels"), [(name, f"{share:.1%}") for name, share in shares.items()])
    for path, reason in summary.failed:
        ui.line(f"failed: {path}: {reason}", style="red")
