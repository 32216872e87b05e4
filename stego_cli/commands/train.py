"""`stego train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stego_cli.settings import DEFAULT_BACKBONE, TrainSettings
from stego_cli.training.presets import PRESETS, preset_settings

HELP = """Train a model on photographs, without labels.

The backbone's features are computed once; a small head then learns codes whose correspondences distil those of the
features, and k-means on the codes finds the classes. RUN gets model.safetensors, config.json and metrics.jsonl, and a
page to look at, report.html; with --tensorboard also RUN/tensorboard, to watch the training by.
Ctrl-C saves a whole checkpoint; --resume does the remaining steps.

Labels are never needed. Where there are some (--labels, or PHOTOS has imgs/train and labels/train), they train a linear
probe beside the clusters, to measure with; labels may be missing or void in part or whole. A data set that
`stego prepare` made also says how many classes there are.

\b
Examples:
  stego train ./photos --out run
  stego train ./photos --out run --classes 11 --seed 1
  stego train ./photos --out run --backbone dinov2-vits14 --res 448
  stego train ./photos --out run --resume
  stego train ./photos --out run --preset paper-cocostuff27-vits8
  torchrun --nproc-per-node 4 --no-python stego train ./photos --out run
  stego train ./photos --out run --tensorboard
"""
_DEFAULT = TrainSettings()


def _block(given: str | None) -> int | str | None:
    try:
        return None if given is None else int(given)
    except ValueError:
        return given  # "auto", or refused by the settings


def _of_presets(value: object) -> str:
    return f"{value}, or the preset's"


def command(
    photos: Annotated[Path, typer.Argument(help="A folder of photographs, searched recursively.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder for the checkpoint.")],
    classes: Annotated[
        int | None,
        typer.Option(
            help="Number of classes, 2 to 256.",
            show_default="the data set's, else as many as are found again and again",
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help=" | ".join(PRESETS), metavar="NAME")] = "auto",
    backbone: Annotated[
        str | None, typer.Option(help="See `stego models list`.", show_default=f"{DEFAULT_BACKBONE}, or the preset's")
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="0-based block whose features are taken; auto finds it on your photographs.",
            show_default="the backbone's row",
        ),
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="feat (normed tokens) or key (attention keys).", show_default=_DEFAULT.token)
    ] = None,
    res: Annotated[
        int | None, typer.Option(help="Shorter side at work, pixels.", show_default=_of_presets(_DEFAULT.res))
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Updates of the head.", show_default=_of_presets(_DEFAULT.steps))
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed on the same machine gives the same bytes.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    crops: Annotated[
        str | None, typer.Option(help="none, or five (each photograph as five crops).", show_default="none")
    ] = None,
    cache_memory: Annotated[
        int, typer.Option(metavar="MB", help="Features beyond this go to a file in RUN, memory-mapped.")
    ] = _DEFAULT.cache_memory_mb,
    max_cache: Annotated[
        float, typer.Option(metavar="GB", help="Features beyond this are not kept: every step computes its own.")
    ] = _DEFAULT.max_cache_gb,
    labels: Annotated[
        Path | None,
        typer.Option(help="Folder of labels (x/a.png for x/a.jpg): trains a linear probe beside the clusters."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write RUN/tensorboard while training (needs stego-cli[tensorboard]).")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events as JSON lines on standard output.")] = False,
) -> None:
    """Train a head and a cluster probe."""
    from stego_cli.datasets.layout import training_folders
    from stego_cli.images.discover import find_photos
    from stego_cli.stop import Stop
    from stego_cli.text import shown
    from stego_cli.ui import Ui

    folders = training_folders(photos, labels)
    if classes is None and folders.table is not None and len(folders.table.names) > 1:
        classes = len(folders.table.names)
    settings = preset_settings(
        preset,
        backbone=backbone,
        block=_block(block),
        token=token,
        res=res,
        crops=crops,
        classes=classes,
        steps=steps,
        seed=seed,
        device=device,
        cache_memory_mb=cache_memory,
        max_cache_gb=max_cache,
    )
    ui = Ui(as_json)
    found = find_photos(photos if photos.is_file() else folders.photos, exclude=out)
    for path, reason in found.unreadable:
        ui.warn(f"The folder {shown(path)} cannot be read: {reason}.")
    from stego_cli.training.ranks import is_first_process
    from stego_cli.training.run_folder import RunOptions
    from stego_cli.training.train import train

    with Stop() as stop:
        paths = [found.root / photo.path for photo in found.photos]
        labelled = folders if folders.labels else None
        checkpoint = train(paths, out, settings, ui, stop, labelled, RunOptions(resume, overwrite, tensorboard))
    failed = (checkpoint.provenance.photographs_failed or 0) + len(found.unreadable)
    if is_first_process():
        ui.event("trained", run=str(out), classes=len(checkpoint.centroids), failed=failed)
        page = " (look at report.html)" if (out / "report.html").is_file() else ""
        ui.note(
            f"{len(checkpoint.centroids)} classes in {shown(out)}{page}. Next: `stego export-onnx {shown(out)}`, then "
            "`stego segment PHOTOS --out MASKS`."
        )
    if failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)
