"""`stego_cli.segment`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.part_settings import PartSettings, parse_bbox
from stego_cli.reading import Reading, Walk
from stego_cli.settings import Decoder, Probe, SegmentSettings, TreeSettings
from stego_cli.tasks import segment as task
from stego_cli.tasks.segment_tree import segment_tree
from stego_cli.trees.address import is_address


def segment(
    photos: PathName,
    *,
    out: PathName,
    model: PathName | None = None,
    classes: int | None = None,
    overcluster: int | str | None = None,
    probe: Probe = "cluster",
    res: int | None = None,
    crf: bool = True,
    overlay: bool = False,
    steady: bool = False,
    mask_video: bool = False,
    keep_probabilities: bool = False,
    also: Sequence[str] = (),
    min_free: float = 0.0,
    bands: str = "",
    stretch: str = "auto",
    accept_truncated: bool = False,
    bbox: str = "",
    mask_polygon: PathName | None = None,
    res_ground: float | None = None,
    overlap: float | None = None,
    every: int | None = None,
    fps: float | None = None,
    colour_map: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    verbose: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    since: str | None = None,
    device: str = "auto",
    crf_engine: str = "auto",
    batch_size: int | Literal["auto"] = "auto",
    decoder: Decoder = "auto",
    workers: int | None = None,
    processes: int = 1,
    shard: str | None = None,
    engine: str = "local",
    ray_address: str | None = None,
    progress: Reporting = None,
) -> task.SegmentResult:
    """Write a mask for every photograph in a folder, as `stego segment` does.

    Masks are palette PNGs, pixel value = class, at out/x/a.png for photos/x/a.jpg, each at its photograph's own size.
    The same call again does only what is missing or has changed.

    Args:
        photos: a folder of photographs, a data set, or one photograph; or an address such as s3://bucket/folder.
        out: folder for the masks, or an address.
        model: file that `export_onnx` wrote; None: one that was discovered for `out` before, else ./stego.onnx, else
            classes are discovered in these photographs and the model is kept in out/.stego.
        classes: number of classes to discover, 2 to 256; None: as many as recur, about 8.
        overcluster: number of clusters to find for these classes, up to 255, to be joined and named later; "auto": 4
            times as many as classes; None: as many as classes.
        probe: whose classes: "cluster", or "linear" if labels trained one.
        res: shorter side at which the model works, pixels, at least 16; None: the model's own.
        crf: sharpen masks along edges with a dense CRF.
        overlay: also write x.overlay.jpg beside each mask.
        steady: steady the labels of videos over time.
        mask_video: write the masks of a video as one lossless video.
        keep_probabilities: also write x.probs.npz beside each mask: log-probabilities in 8 bits.
        also: names of further outputs to write beside each mask.
        min_free: gigabytes of disk space; the run ends when less is free.
        bands: bands to use, by number from 1 or name: one ("4") as grey, or three ("nir,red,green") as red, green and
            blue; "": the first three.
        stretch: range of more than 8 bits that becomes black to white: "auto", "none", "LOW,HIGH" or a percentage.
        accept_truncated: use what is there of files that are cut short.
        bbox: of rasters only this box, "LEFT,BOTTOM,RIGHT,TOP" in the units of their coordinates; "": all.
        mask_polygon: of rasters only what lies in the polygons of this GeoJSON or GeoPackage.
        res_ground: size of a pixel on the ground at which the model works on rasters, metres; None: the model's, else
            the raster's own.
        overlap: share of a raster's windows that neighbours have in common, 0.1 to 0.8; None: 12 patches of 48.
        every: of videos every so many frames; None: all.
        fps: of videos so many frames a second; None: all.
        colour_map: of stacks of one band, a colour map of matplotlib to show them in; "": grey.
        include: patterns; only files of which path or name match one.
        exclude: patterns; no files or folders of which path or name match one.
        follow_links: look into folders that are links, each once.
        verbose: list every file that is passed over, by reason.
        overwrite: make all masks again, and a discovered model.
        retry_failed: only photographs that failed before.
        since: only photographs changed since a date ("2026-11-01") or a time back ("12h", "7d").
        device: "auto", "cpu", "cuda", "cuda:N", "cuda:0,1" or "tensorrt:N".
        crf_engine: "auto" or a name in stego_cli.crf.ENGINES; engines give equal masks.
        batch_size: photographs of one shape that a GPU gets at once.
        decoder: where JPEGs are decoded and resized for a GPU: "cpu", "gpu", or "auto" for the GPU where it can.
        workers: photographs worked on at the same time; None: one a core.
        processes: of this machine that share the work; several feed a GPU faster than one.
        shard: "I/N": part I of N; all parts may run at the same time into one `out`.
        engine: where photographs are worked on: "local", this machine, or "ray", the machines of a Ray cluster.
        ray_address: of the Ray cluster, "HOST:PORT"; None: that of RAY_ADDRESS, else one that is started here.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        The model file, names and colours of the classes, and a summary: counts, failures, seconds, pixels by class.
        Photographs that failed are in `summary.failed` with a reason; they raise nothing.

    Raises:
        UsageError: settings make no sense, or `out` holds masks of a different model or other settings.
        NoInputError: there is no photograph.
        ModelError: the model cannot be used.
        OutputError: a mask cannot be written, or less than `min_free` is free.
    """
    settings = SegmentSettings(
        photos=Path(photos),
        out=Path(out),
        model=None if model is None else Path(model),
        classes=classes,
        overcluster=overcluster,
        probe=probe,
        res=res,
        crf=crf,
        overlay=overlay,
        keep_probabilities=keep_probabilities,
        also=tuple(also),
        min_free=min_free,
        reading=Reading.parse(bands, stretch, accept_truncated),
        walk=Walk(tuple(include), tuple(exclude), follow_links),
        verbose=verbose,
        overwrite=overwrite,
        retry_failed=retry_failed,
        since=since,
        device=device,
        crf_engine=crf_engine,
        batch_size=batch_size,
        decoder=decoder,
        workers=workers,
        processes=processes,
        shard=shard,
        parts=PartSettings(
            parse_bbox(bbox),
            None if mask_polygon is None else Path(mask_polygon),
            res_ground,
            every,
            fps,
            steady,
            mask_video,
            colour_map,
            overlap=overlap,
        ),
        engine=engine,
        ray_address=ray_address,
    )
    if is_address(str(photos)) or is_address(str(out)):
        return segment_tree(TreeSettings(str(photos), str(out), settings), reporter(progress))
    return task.segment(settings, reporter(progress))
