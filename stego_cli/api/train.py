"""`stego_cli.train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stego_cli.api.reporting import PathName, Reporting, reporter
from stego_cli.part_settings import PartSettings, parse_bbox
from stego_cli.reading import Reading, Walk
from stego_cli.settings import Crops, Token, TrainSettings
from stego_cli.tasks import train as task
from stego_cli.training.presets import preset_settings

_DEFAULT = TrainSettings()


def train(
    photos: PathName,
    *,
    out: PathName,
    tensorboard: bool = False,
    labels: PathName | None = None,
    backbone: str | None = None,
    block: int | str | None = None,
    token: Token | None = None,
    classes: int | None = None,
    overcluster: int | str | None = None,
    preset: str = "auto",
    res: int | None = None,
    crops: Crops | None = None,
    steps: int | None = None,
    seed: int = 0,
    bands: str = "",
    stretch: str = "auto",
    accept_truncated: bool = False,
    bbox: str = "",
    mask_polygon: PathName | None = None,
    res_ground: float | None = None,
    every: int | None = None,
    fps: float | None = None,
    colour_map: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_links: bool = False,
    verbose: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    cache_memory_mb: int = _DEFAULT.cache_memory_mb,
    max_cache_gb: float = _DEFAULT.max_cache_gb,
    engine: str = "local",
    ray_address: str | None = None,
    progress: Reporting = None,
) -> task.TrainResult:
    """Train a head and a cluster probe on photographs, without labels, as `stego train` does.

    Args:
        photos: a folder of photographs, one photograph, or a data set with imgs/train.
        out: folder for the run: model.safetensors, config.json, metrics.jsonl and report.html.
        tensorboard: also write out/tensorboard during the run.
        labels: folder of labels (x/a.png for x/a.jpg) to train a linear probe on; None: the data set's, if it has any.
        backbone: a name in stego_cli.model.backbones.BACKBONES, or "timm:NAME"; None: the preset's.
        block: 0-based block whose features are used; "auto": chosen on the photographs; None: the backbone's own.
        token: "feat" (normed tokens) or "key" (attention keys); None: the preset's.
        classes: number of classes, 2 to 256; None: the data set's, else as many as recur, about 8.
        overcluster: number of clusters to find for these classes, up to 255, to be joined and named later; "auto": 4
            times as many as classes; None: as many as classes.
        preset: "auto" or the name of a published run, a key of stego_cli.training.presets.PRESETS.
        res: shorter side at which photographs are used, pixels; None: the preset's.
        crops: "none", or "five": each photograph as five crops; None: the preset's.
        steps: updates of the head; None: the preset's.
        seed: the same seed on the same machine gives the same bytes.
        bands: bands to use, by number from 1 or name: one ("4") as grey, or three ("nir,red,green") as red, green and
            blue; "": the first three.
        stretch: range of more than 8 bits that becomes black to white: "auto", "none", "LOW,HIGH" or a percentage.
        accept_truncated: use what is there of files that are cut short.
        bbox: of rasters only this box, "LEFT,BOTTOM,RIGHT,TOP" in the units of their coordinates; "": all.
        mask_polygon: of rasters only what lies in the polygons of this GeoJSON or GeoPackage.
        res_ground: size of a pixel on the ground at which the model works on rasters, metres; None: the
            raster's own. The model keeps it.
        every: of videos every so many frames; None: all.
        fps: of videos so many frames a second; None: all.
        colour_map: of stacks of one band, a colour map of matplotlib to show them in; "": grey.
        include: patterns; only files of which path or name match one.
        exclude: patterns; no files or folders of which path or name match one.
        follow_links: look into folders that are links, each once.
        verbose: list every file that is passed over, by reason.
        resume: continue an interrupted run.
        overwrite: replace the run that is in `out`.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        cache_memory_mb: larger features go to a memory-mapped file in `out`.
        max_cache_gb: larger features are not kept but computed again at every step.
        engine: where features are computed: "local", this machine, or "ray", the machines of a Ray cluster. The head is
            trained here.
        ray_address: of the Ray cluster, "HOST:PORT"; None: that of RAY_ADDRESS, else one that is started here.
        progress: what the call reports to; None: the console or notebook; False: nothing.

    Returns:
        The run folder, its checkpoint, and the photographs that could not be used, each with a reason.

    Raises:
        UsageError: settings make no sense, or `out` holds a run that may not be replaced.
        NoInputError: there is no photograph, or none can be decoded.
        WeightsError: the backbone's weights cannot be fetched.
        OutputError: `out` cannot be written, or another run is writing to it.
    """
    settings = preset_settings(
        preset,
        backbone=backbone,
        block=block,
        token=token,
        res=res,
        crops=crops,
        classes=classes,
        overcluster=overcluster,
        steps=steps,
        seed=seed,
        device=device,
        cache_memory_mb=cache_memory_mb,
        max_cache_gb=max_cache_gb,
    )
    asked = task.TrainTask(
        photos=Path(photos),
        out=Path(out),
        training=settings,
        prefer_data_classes=classes is None,
        labels=None if labels is None else Path(labels),
        resume=resume,
        overwrite=overwrite,
        tensorboard=tensorboard,
        reading=Reading.parse(bands, stretch, accept_truncated),
        parts=PartSettings(
            parse_bbox(bbox),
            None if mask_polygon is None else Path(mask_polygon),
            res_ground,
            every,
            fps,
            colour_map=colour_map,
        ),
        walk=Walk(tuple(include), tuple(exclude), follow_links),
        verbose=verbose,
        engine=engine,
        ray_address=ray_address,
    )
    return task.train(asked, reporter(progress))
