"""`stego train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import (
    INPUT,
    MACHINE,
    MODEL,
    OUTPUT,
    REPEAT,
    TRAINING,
    BandsOption,
    BboxOption,
    ColourMapOption,
    EngineOption,
    EventsOption,
    EveryOption,
    ExcludeOption,
    FollowLinksOption,
    FpsOption,
    IncludeOption,
    MaskPolygonOption,
    OverclusterOption,
    RayAddressOption,
    ResGroundOption,
    StretchOption,
    TorchDeviceOption,
    TruncatedOption,
    VerboseOption,
    completed_from,
    number_or_text,
)
from stego_cli.model.backbones import BACKBONES
from stego_cli.settings import DEFAULT_BACKBONE, Crops, Token, TrainSettings
from stego_cli.training.presets import PRESETS, preset_settings

if TYPE_CHECKING:
    from stego_cli.tasks.train import TrainResult
    from stego_cli.ui import Ui

HELP = """Train a model on photographs, without labels.

\b
Examples:
  stego train ./photos --out run
  stego train ./photos --out run --classes 11 --seed 1
  stego train ./photos --out run --classes 11 --overcluster auto
  stego train ./photos --out run --backbone dinov2-vits14 --res 448
  stego train ./town.tif --out run
  stego train ./photos --out run --resume
  stego train ./photos --out run --preset paper-cocostuff27-vits8
  torchrun --nproc-per-node 4 --no-python stego train ./photos --out run
  stego train ./photos --out run --tensorboard
  stego train /net/photos --out /net/run --engine ray --ray-address head:6379

The backbone's features are computed once. A small head then learns codes by distilling the correspondences of the
features, and k-means on the codes finds the classes. RUN gets model.safetensors, config.json, metrics.jsonl and a
summary, report.html. Ctrl-C saves a whole checkpoint; --resume does the remaining steps.

Labels are never needed. If there are some (--labels, or PHOTOS has imgs/train and labels/train), a linear probe is
trained on them, to measure the codes with; they may be partly missing or void. If PHOTOS is a data set that
`stego prepare` made, it also gives the number of classes.
"""
_DEFAULT = TrainSettings()


def _or_preset(value: object) -> str:
    return f"{value}, or the preset's"


def command(
    photos: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTOS", help="A folder of photographs, searched recursively, or a data set.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN", help="Folder for the run.", rich_help_panel=OUTPUT)
    ],
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Also write RUN/tensorboard during the run (needs stego-cli[tensorboard]).",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Labels (x/a.png for x/a.jpg) to train a linear probe on.",
            show_default="the data set's",
            rich_help_panel=INPUT,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="See `stego models list`.",
            autocompletion=completed_from(BACKBONES),
            show_default=_or_preset(DEFAULT_BACKBONE),
            rich_help_panel=MODEL,
        ),
    ] = None,
    block: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="0-based block whose features are used; auto chooses it on the photographs.",
            show_default="the one in the table of backbones",
            rich_help_panel=MODEL,
        ),
    ] = None,
    token: Annotated[
        Token | None,
        typer.Option(
            help="Features of a patch: normed tokens (feat) or attention keys (key).",
            show_default=_DEFAULT.token,
            rich_help_panel=MODEL,
        ),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of classes, 2 to 256.",
            show_default="the data set's, else as many as recur, about 8",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    overcluster: OverclusterOption = None,
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"Default values: {', '.join(PRESETS)}.",
            autocompletion=completed_from(PRESETS),
            rich_help_panel=TRAINING,
        ),
    ] = "auto",
    res: Annotated[
        int | None,
        typer.Option(
            metavar="PIXELS",
            help="Shorter side at which photographs are used.",
            show_default=_or_preset(_DEFAULT.res),
            rich_help_panel=TRAINING,
        ),
    ] = None,
    crops: Annotated[
        Crops | None,
        typer.Option(
            help="Use each photograph whole (none) or as five crops.",
            show_default=_or_preset(_DEFAULT.crops),
            rich_help_panel=TRAINING,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Updates of the head.", show_default=_or_preset(_DEFAULT.steps), rich_help_panel=TRAINING
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="The same seed on the same machine gives the same bytes.", rich_help_panel=TRAINING
        ),
    ] = 0,
    bands: BandsOption = "",
    stretch: StretchOption = "auto",
    accept_truncated: TruncatedOption = False,
    bbox: BboxOption = "",
    mask_polygon: MaskPolygonOption = None,
    res_ground: ResGroundOption = None,
    every: EveryOption = None,
    fps: FpsOption = None,
    colour_map: ColourMapOption = "",
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    follow_links: FollowLinksOption = False,
    verbose: VerboseOption = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run.", rich_help_panel=REPEAT)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that is in RUN.", rich_help_panel=REPEAT)
    ] = False,
    device: TorchDeviceOption = "auto",
    cache_memory_mb: Annotated[
        int,
        typer.Option(
            "--cache-memory",
            metavar="MB",
            help="Larger features go to a memory-mapped file in RUN.",
            rich_help_panel=MACHINE,
        ),
    ] = _DEFAULT.cache_memory_mb,
    max_cache_gb: Annotated[
        float,
        typer.Option(
            "--max-cache",
            metavar="GB",
            help="Larger features are not kept but computed again at every step.",
            rich_help_panel=MACHINE,
        ),
    ] = _DEFAULT.max_cache_gb,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    as_json: EventsOption = False,
) -> None:
    """Train a head and a cluster probe."""
    from stego_cli.part_settings import PartSettings, parse_bbox
    from stego_cli.reading import Reading, Walk
    from stego_cli.stop import Stop
    from stego_cli.tasks.train import TrainTask, train
    from stego_cli.ui import Ui

    task = TrainTask(
        photos=photos,
        out=out,
        reading=Reading.parse(bands, stretch, accept_truncated),
        parts=PartSettings(parse_bbox(bbox), mask_polygon, res_ground, every, fps, colour_map=colour_map),
        walk=Walk(tuple(include or ()), tuple(exclude or ()), follow_links),
        verbose=verbose,
        training=preset_settings(
            preset,
            backbone=backbone,
            block=number_or_text(block),
            token=token,
            res=res,
            crops=crops,
            classes=classes,
            overcluster=number_or_text(overcluster),
            steps=steps,
            seed=seed,
            device=device,
            cache_memory_mb=cache_memory_mb,
            max_cache_gb=max_cache_gb,
        ),
        prefer_data_classes=classes is None,
        labels=labels,
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        engine=engine,
        ray_address=ray_address,
    )
    ui = Ui(as_json)
    with Stop() as stop:
        result = train(task, ui, stop)
    if result.is_first_process:
        _show(out, result, ui)
    if result.failed:
        from stego_cli.errors import EXIT_SOME_FAILED

        raise typer.Exit(EXIT_SOME_FAILED)


def _show(run: Path, result: TrainResult, ui: Ui) -> None:
    from stego_cli.text import shown

    clusters, settings = len(result.checkpoint.cluster), result.checkpoint.settings
    ui.event("trained", run=str(run), classes=clusters, failed=len(result.failed))
    report = f"; see {shown(run / 'report.html')}" if (run / "report.html").is_file() else ""
    if settings.overcluster is None:
        found, then = f"{clusters} classes", ""
    else:
        found = f"{clusters} clusters for {settings.classes} classes"
        then = "`stego classes --help` shows how to join and name them; "
    ui.note(
        f"{found} in {shown(run)}{report}. Next: {then}`stego export-onnx {shown(run)}`, then "
        "`stego segment PHOTOS --out MASKS`."
    )
