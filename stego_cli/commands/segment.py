"""`stego segment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stego_cli.commands.options import (
    MACHINE,
    MODEL,
    OUTPUT,
    REPEAT,
    BandsOption,
    BboxOption,
    ColourMapOption,
    CrfEngineOption,
    CrfOption,
    EngineOption,
    EventsOption,
    EveryOption,
    ExcludeOption,
    FollowLinksOption,
    FpsOption,
    IncludeOption,
    MaskPolygonOption,
    OverlapOption,
    ProcessesOption,
    RayAddressOption,
    ResGroundOption,
    StretchOption,
    TruncatedOption,
    VerboseOption,
    WorkersOption,
    number_or_text,
)
from stego_cli.settings import AUTO_CLUSTERS, Decoder, Probe

if TYPE_CHECKING:
    from stego_cli.tasks.segment import SegmentResult
    from stego_cli.ui import Ui

HELP = """Write a mask for every photograph in a folder.

\b
Examples:
  stego segment ./photos --out ./masks
  stego segment ./photos --out ./masks --classes 8 --overlay
  stego segment ./photos --out ./masks --model street.onnx --no-crf
  stego segment ./photos --out ./masks --dry-run
  stego segment ./photos --out ./masks --model stego.onnx --shard 2/8
  stego segment ./photos --out ./masks --model stego.onnx --device cuda:0,1 --processes 8
  stego segment /net/photos --out /net/masks --model stego.onnx --engine ray --ray-address head:6379
  stego segment s3://bucket/photos --out s3://bucket/masks --model stego.onnx
  stego segment ./photos --out ./masks --since 7d --min-free 5
  stego segment ./photos --out ./masks --json > log.ndjson
  stego segment clip.mp4 --out ./masks --steady --overlay
  stego segment town.tif --out ./masks --bbox 500100,5799000,501000,5799800

A mask is a palette PNG whose pixel values are class numbers. Masks mirror the folder (x/a.jpg gets MASKS/x/a.png),
each at its photograph's own size as a viewer shows it. Without --model the model is one that was discovered for MASKS
before, else ./stego.onnx; if there is neither, classes are discovered in these photographs first and the model is kept
in MASKS/.stego. The same command again does only what is missing or has changed.

A georeferenced raster, or a picture too large for a photograph, is segmented by windows; its mask is a GeoTIFF that
lies where the raster lies. A TIFF of several pages is a stack of slices, and so is its mask. A video is segmented frame
by frame; its masks are in a folder of its name.

PHOTOS may be a data set (imgs/ with labels/ beside it): then the photographs in imgs/ are segmented. Links to files are
followed, links to folders are not. Hidden files and folders that hold masks are passed over. Of an animation the first
frame is taken; transparency becomes white.
"""


def _number_or_auto(text: str) -> int | Literal["auto"]:
    return int(text) if text.isdecimal() else text  # type: ignore[return-value]  # other text is refused by the settings


def _outputs(incomplete: str) -> list[str]:
    from stego_cli.inference.outputs import BESIDE

    return [name for name in BESIDE if name.startswith(incomplete)]


def command(
    photos: Annotated[
        str,
        typer.Argument(
            metavar="PHOTOS",
            help="A folder of photographs, or one photograph; or an address such as s3://bucket/folder.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="MASKS", help="Folder for the masks, or an address.", rich_help_panel=OUTPUT
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A file that `stego export-onnx` wrote.",
            show_default="see above",
            rich_help_panel=MODEL,
        ),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Number of classes to discover, 2 to 256.",
            show_default="as many as recur, about 8",
            rich_help_panel=MODEL,
        ),
    ] = None,
    overcluster: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Discover more clusters than classes, to be joined and named with `stego classes`; auto: "
            f"{AUTO_CLUSTERS} times as many.",
            show_default="as many clusters as classes",
            rich_help_panel=MODEL,
        ),
    ] = None,
    probe: Annotated[
        Probe,
        typer.Option(
            help="Whose classes: the clusters, or the linear probe that labels trained.", rich_help_panel=MODEL
        ),
    ] = "cluster",
    res: Annotated[
        int | None,
        typer.Option(
            min=16,
            metavar="PIXELS",
            help="Shorter side at which the model works.",
            show_default="the model's own",
            rich_help_panel=MODEL,
        ),
    ] = None,
    crf: CrfOption = True,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also write x.overlay.jpg beside each mask, and contact_sheet.jpg, to look at.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    steady: Annotated[
        bool, typer.Option("--steady", help="Steady the labels of a video over time.", rich_help_panel=OUTPUT)
    ] = False,
    mask_video: Annotated[
        bool,
        typer.Option("--mask-video", help="Write the masks of a video as one lossless video.", rich_help_panel=OUTPUT),
    ] = False,
    keep_probabilities: Annotated[
        bool,
        typer.Option(
            "--keep-probabilities",
            help="Also write x.probs.npz beside each mask: log-probabilities in 8 bits.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    also: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTPUT",
            autocompletion=_outputs,
            help="Also write this output, by name: overlay, probabilities. May be given several times.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    min_free: Annotated[
        float,
        typer.Option(
            metavar="GB", min=0, help="End the run when less disk space than this is free.", rich_help_panel=OUTPUT
        ),
    ] = 0.0,
    bands: BandsOption = "",
    stretch: StretchOption = "auto",
    accept_truncated: TruncatedOption = False,
    bbox: BboxOption = "",
    mask_polygon: MaskPolygonOption = None,
    res_ground: ResGroundOption = None,
    overlap: OverlapOption = None,
    every: EveryOption = None,
    fps: FpsOption = None,
    colour_map: ColourMapOption = "",
    include: IncludeOption = None,
    exclude: ExcludeOption = None,
    follow_links: FollowLinksOption = False,
    verbose: VerboseOption = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Make all masks again, and a discovered model.", rich_help_panel=REPEAT)
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Only photographs that failed before.", rich_help_panel=REPEAT)
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN",
            help="Only photographs changed since a date, or a time back such as 12h, 7d.",
            show_default=False,
            rich_help_panel=REPEAT,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Report what would be done and how long it is likely to take; write nothing.",
            rich_help_panel=REPEAT,
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE", help="auto, cpu, cuda, cuda:N, cuda:0,1 or tensorrt:N.", rich_help_panel=MACHINE
        ),
    ] = "auto",
    crf_engine: CrfEngineOption = "auto",
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="N|auto", help="Photographs of one shape that a GPU gets at once.", rich_help_panel=MACHINE
        ),
    ] = "auto",
    decoder: Annotated[
        Decoder,
        typer.Option(
            help="Where JPEGs are decoded for a GPU; auto: there, if the extra gpu-decode is installed.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    workers: WorkersOption = None,
    processes: ProcessesOption = 1,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do part I of N; all parts may run at the same time into one MASKS.",
            show_default=False,
            rich_help_panel=MACHINE,
        ),
    ] = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    as_json: EventsOption = False,
) -> None:
    """Segment a folder of photographs."""
    from stego_cli.commands.segment_show import show_forecast
    from stego_cli.errors import UsageError, setting
    from stego_cli.part_settings import PartSettings, parse_bbox
    from stego_cli.reading import Reading, Walk
    from stego_cli.settings import SegmentSettings, TreeSettings
    from stego_cli.stop import Stop
    from stego_cli.trees.address import is_address
    from stego_cli.ui import Ui

    settings = SegmentSettings(
        photos=Path(photos),
        out=Path(out),
        model=model,
        classes=classes,
        overcluster=number_or_text(overcluster),
        probe=probe,
        res=res,
        crf=crf,
        overlay=overlay,
        keep_probabilities=keep_probabilities,
        also=tuple(also or ()),
        min_free=min_free,
        reading=Reading.parse(bands, stretch, accept_truncated),
        walk=Walk(tuple(include or ()), tuple(exclude or ()), follow_links),
        verbose=verbose,
        overwrite=overwrite,
        retry_failed=retry_failed,
        since=since,
        device=device,
        crf_engine=crf_engine,
        batch_size=_number_or_auto(batch_size),
        decoder=decoder,
        workers=workers,
        processes=processes,
        shard=shard,
        parts=PartSettings(
            parse_bbox(bbox), mask_polygon, res_ground, every, fps, steady, mask_video, colour_map, overlap=overlap
        ),
        engine=engine,
        ray_address=ray_address,
    )
    ui = Ui(as_json)
    if is_address(photos) or is_address(out):
        from stego_cli.tasks.segment_tree import segment_tree

        if dry_run:
            raise UsageError(f"{setting('dry_run')} is for folders of a disk.", "Leave it out.")
        with Stop() as stop:
            _show(segment_tree(TreeSettings(photos, out, settings), ui, stop), ui)
        return
    if dry_run:
        from stego_cli.tasks.forecast import forecast

        show_forecast(forecast(settings, ui), ui)
        return
    from stego_cli.tasks.segment import segment

    with Stop() as stop:
        result = segment(settings, ui, stop)
    _show(result, ui)


def _show(result: SegmentResult, ui: Ui) -> None:
    from stego_cli.commands.segment_show import show_result
    from stego_cli.errors import EXIT_SOME_FAILED

    show_result(result, ui)
    if result.summary.failed:
        raise typer.Exit(EXIT_SOME_FAILED)
