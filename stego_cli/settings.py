"""What a task is asked to do: one frozen settings object each, complete when it is built.

A field has the name of the command's flag and of the Python API's keyword. Settings of training and export are kept
with their results, so each of their fields is plain JSON (`dataclasses.asdict`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from stego_cli.classes import LARGEST_ID, ClassTable
from stego_cli.errors import UsageError, setting
from stego_cli.part_settings import PartSettings
from stego_cli.reading import Reading, Walk

Decoder = Literal["auto", "cpu", "gpu"]
Probe = Literal["cluster", "linear"]
Precision = Literal["fp32", "fp16", "int8"]
Protocol = Literal["stego", "full"]
Token = Literal["feat", "key"]
Crops = Literal["none", "five"]  # of photographs in training
CutCrops = Literal["five", "random"]  # of photographs that are prepared
Match = Literal["hungarian", "identity", "majority"]
ScoreMode = Literal["honest", "stego"]

DEFAULT_BACKBONE = "focus-vits14"
DEFAULT_RES = 320  # shorter side in pixels, the resolution of the paper's evaluation
DEFAULT_STEPS = 250  # of training: short on purpose (docs/log/training.md)
_MOST_BLOCKS, _WIDEST_CODE = 1000, 65536  # far beyond any that exist
AUTO_CLUSTERS = 4  # clusters for each class, where there are to be more
MOST_CLUSTERS = 255  # that leave void a value of its own
PAPER_TEMPERATURE = 2.0  # of the cluster probe's softmax in the published evaluation


@dataclass(frozen=True)
class CrfSettings:
    """Dense CRF of the published evaluation: one Gaussian and one bilateral kernel, Potts compatibility."""

    iterations: int = 10
    gaussian_sxy: float = 1.0  # spatial deviation of the smoothness kernel, pixels
    gaussian_compat: float = 3.0
    bilateral_sxy: float = 67.0  # spatial deviation of the appearance kernel, pixels
    bilateral_srgb: float = 3.0  # colour deviation of the appearance kernel, 8-bit steps
    bilateral_compat: float = 4.0


@dataclass(frozen=True)
class TrainSettings:
    """How a head and a cluster probe are trained, given the photographs."""

    preset: str = "auto"  # the name of the preset that the other values come from
    scheme: str = "auto"  # "auto" or "paper": how a step draws its pairs and finds the clusters (training/fit.py)
    backbone: str = DEFAULT_BACKBONE
    block: int | str | None = None  # 0-based, gives the features; None: the row's; "auto": chosen on the photographs
    token: Token = "feat"  # "feat": normed patch tokens of the block; "key": its attention keys
    res: int = DEFAULT_RES  # shorter side of a photograph, pixels, rounded to whole patches
    crops: Crops = "none"  # "five": each photograph is used as five crops of it
    crop_ratio: float = 0.5  # a crop's share of the photograph's width and height
    classes: int | None = None  # clusters K; None: about 8 (training/suggest.py)
    overcluster: int | str | None = None  # clusters to find instead of K, to be joined; "auto": see `clusters_for`
    code: int = 70  # width of the code
    steps: int = DEFAULT_STEPS  # updates of the head
    batch: int = 32  # photographs in an update
    points: int = 11  # points x points are sampled from a photograph, as in the paper
    neighbours: int = 7  # a photograph's positives are drawn from this many nearest ones
    permutations: int = 5  # negative pairings of a batch
    lr: float = 5e-4  # of the head
    probe_lr: float = 5e-3  # of centroids that are trained together with the head (scheme "paper")
    dropout: float = 0.1
    centring: bool = True  # subtract each point's mean from F ("pointwise")
    clamp: bool = True  # give negative S no gradient
    weights: tuple[float, float, float] = (0.63, 0.25, 0.67)  # negative, inter, intra
    quantiles: tuple[float, float, float] = (0.95, 0.6, 0.5)  # of centred F, for each b; negative, inter, intra
    shifts: tuple[float, float, float] | None = None  # b itself, in the same order; None: from the quantiles
    whiten: int = 32  # F is computed on this many whitened principal components; 0: raw features
    positions: int = 8  # directions that tell a patch's place in its picture, taken out of the features; 0: none
    smoothing: float = 4.0  # sharpness of the mean of a code and the eight around it; 0: codes stay as they are
    restarts: int = 10  # of k-means
    finer: int = 4  # k-means finds this many clusters for each class, which are then joined by their likeness
    temperature: float = 5.0  # of the cluster probe's softmax: the higher, the less a CRF changes
    seed: int = 0
    device: str = "auto"
    cache_memory_mb: int = 1024  # larger features go to a memory-mapped file
    max_cache_gb: float = 64.0  # larger features are not kept but computed again at every step

    def __post_init__(self) -> None:
        check_classes(self.classes)
        check_overcluster(self.overcluster, self.classes)
        check_res(self.res)
        if self.steps < 0:
            raise UsageError(
                f"must be 0 (cluster the codes of an untrained head) or more, got {self.steps}", field="steps"
            )
        check_choice("token", self.token, Token)
        if isinstance(self.block, str) and self.block != "auto":
            raise UsageError(f"must be a number or 'auto', got {self.block!r}", field="block")
        if isinstance(self.block, int) and not 0 <= self.block < _MOST_BLOCKS:
            raise UsageError(f"must be 0 or more, the first block, got {self.block}", field="block")
        check_choice("crops", self.crops, Crops)
        if not 1 <= self.code <= _WIDEST_CODE:
            raise UsageError(f"must be 1 to {_WIDEST_CODE}, got {self.code}", field="code")
        if not 0 < self.temperature < math.inf:
            raise UsageError(f"must be above 0, got {self.temperature}", field="temperature")
        if not 0 <= self.smoothing < math.inf:
            raise UsageError(f"must be 0 (codes stay as they are) or more, got {self.smoothing}", field="smoothing")


@dataclass(frozen=True)
class ExportSettings:
    """How a checkpoint becomes a model file."""

    precision: Precision = "fp32"
    flip: bool = False  # average the code with that of the mirrored photograph

    def __post_init__(self) -> None:
        check_choice("precision", self.precision, Precision)


@dataclass(frozen=True)
class SegmentSettings:
    """Which photographs get masks, from which model, and how."""

    photos: Path
    out: Path
    model: Path | None = None  # None: see stego_cli.tasks.model_choice
    classes: int | None = None  # of a model that has to be discovered; None: as many as recur
    overcluster: int | str | None = None  # clusters of such a model; as in TrainSettings
    crf: bool = True
    crf_engine: str = "auto"  # one of stego_cli.crf.CHOICES; engines give equal masks
    probe: Probe = "cluster"
    overlay: bool = False  # also write x.overlay.jpg beside each mask
    keep_probabilities: bool = False  # also write x.probs.npz beside each mask
    also: tuple[str, ...] = ()  # more rows of stego_cli.inference.outputs.OUTPUTS to write beside each mask
    res: int | None = None  # shorter side at work, pixels; None: the model's own
    device: str = "auto"
    batch_size: int | Literal["auto"] = "auto"  # photographs of one shape that a device gets at once
    decoder: Decoder = "auto"  # where JPEGs are decoded for a GPU
    workers: int | None = None  # photographs refined at once; None: one a core
    processes: int = 1  # of this machine that share the work
    overwrite: bool = False  # make all masks again, and a discovered model
    shard: str | None = None  # "I/N": part I of N, where several runs share one output folder
    since: str | None = None  # only photographs changed since a date, or a time back such as "12h"
    retry_failed: bool = False  # only photographs that failed before
    min_free: float = 0.0  # gigabytes of disk space below which the run ends
    reading: Reading = Reading()  # how pictures that are not RGB of 8 bits become that
    walk: Walk = Walk()  # which files below `photos` are photographs
    verbose: bool = False  # list every file that is passed over
    parts: PartSettings = PartSettings()  # how rasters, stacks and videos are segmented
    engine: str = "local"  # a row of stego_cli.engines.table: where the photographs are worked on
    ray_address: str | None = None  # of the Ray cluster; None: RAY_ADDRESS, else one that is started on this machine

    def __post_init__(self) -> None:
        check_classes(self.classes)
        check_overcluster(self.overcluster, self.classes)
        check_choice("probe", self.probe, Probe)
        check_res(self.res)
        if self.batch_size != "auto" and not (isinstance(self.batch_size, int) and self.batch_size >= 1):
            raise UsageError(f"must be 'auto' or a number from 1, got {self.batch_size!r}", field="batch_size")
        check_choice("decoder", self.decoder, Decoder)
        check_at_least("workers", self.workers, 1)
        check_at_least("processes", self.processes, 1)
        check_at_least("min_free", self.min_free, 0)
        if self.processes > 1 and self.engine != "local":
            raise UsageError(f"{setting('processes')} is for one machine.", f"Leave out {setting('engine')} or it.")
        if self.ray_address is not None and self.engine != "ray":
            raise UsageError(f"{setting('ray_address')} is of a Ray cluster.", f"Give {setting('engine', 'ray')} too.")
        if self.decoder == "gpu" and self.engine != "local":
            raise UsageError(
                f"{setting('decoder', 'gpu')} is for one machine.",
                "Leave it out: on a cluster CPUs decode, so that all machines make the same masks.",
            )

    def of_a_process(self) -> SegmentSettings:
        """Return the settings of one of `processes`: it has a part of the cores, and works on a photograph on each."""
        return replace(self, workers=None) if self.processes > 1 else self

    @property
    def outputs(self) -> tuple[str, ...]:
        """The rows of OUTPUTS that are written beside each mask."""
        named = ("overlay",) * self.overlay + ("probabilities",) * self.keep_probabilities
        return tuple(dict.fromkeys((*named, *self.also)))


@dataclass(frozen=True)
class TreeSettings:
    """Which photographs at an address get masks, or those of a folder get masks at an address."""

    photos: str  # such as s3://bucket/folder, or a path
    out: str  # likewise
    how: SegmentSettings  # all else; its own places are not used


@dataclass(frozen=True)
class EvaluateSettings:
    """Which model is scored on which labelled photographs, and how."""

    data: Path
    model: Path | None = None  # a run or a model file; None: see stego_cli.tasks.model_choice
    split: str = "val"
    protocol: Protocol = "stego"
    classes: ClassTable | None = None  # None: those of the data set; without one, as many as the labels use
    crf: bool = True  # also score what the CRF makes of it
    crf_engine: str = "auto"  # one of stego_cli.crf.CHOICES
    res: int | None = None  # shorter side with the protocol "full", pixels; None: the model's own
    device: str = "auto"
    workers: int | None = None  # photographs refined at once; None: one a core
    reading: Reading = Reading()  # how pictures that are not RGB of 8 bits become that

    def __post_init__(self) -> None:
        check_choice("protocol", self.protocol, Protocol)
        check_res(self.res)
        check_at_least("workers", self.workers, 1)


@dataclass(frozen=True)
class ScoreSettings:
    """Everything that decides a score, given the masks and the labels, and what is written of it."""

    pred: Path  # folder of predicted masks
    gt: Path  # folder of labels, or a data set
    classes: ClassTable | None = None  # None: those of the data set; without one, as many as the labels use
    ignore: int | Literal["auto"] | None = "auto"  # label value of no class; "auto": the data set's; None: no value
    remap: dict[int, int] | None = None  # label value to class, -1 for none; values not listed are of no class
    palette: Path | None = None  # file of colours and names, for labels that are colour pictures
    match: Match = "hungarian"
    mode: ScoreMode = "honest"
    strict: bool = False  # a mask of another size than its label fails instead of being resized
    boundary: bool = True  # compute the boundary F-score
    json_file: Path | None = None  # all metrics as JSON
    report: Path | None = None  # an HTML page with pictures
    photos: Path | None = None  # photographs to show in the report; None: those of the data set
    workers: int | None = None  # processes; None: one a core
    overwrite: bool = False  # files of the names of the JSON and the report are replaced, whoever wrote them
    reading: Reading = Reading()  # how those photographs are read

    def __post_init__(self) -> None:
        check_choice("match", self.match, Match)
        check_choice("mode", self.mode, ScoreMode)
        if isinstance(self.ignore, int) and not 0 <= self.ignore <= LARGEST_ID:
            raise UsageError(f"must be a label value, 0 to {LARGEST_ID}, got {self.ignore}", field="ignore")
        check_at_least("workers", self.workers, 1)
        if self.photos is not None and self.report is None:
            raise UsageError(f"{setting('photos')} is for the report.", f"Give {setting('report')} too.")


@dataclass(frozen=True)
class PrepareSettings:
    """Everything that decides a prepared data set, and where its parts come from."""

    name: str  # a key of stego_cli.datasets.catalogue.DATASETS
    out: Path  # folder for the data set
    source: tuple[Path, ...] = ()  # archives and folders; with `download` the folder in which archives are kept
    download: bool = False  # fetch the archives first
    mirror: tuple[str, ...] = ()  # addresses of folders that are tried before the official host
    lists: Path | None = None  # folder with lists of names that the source does not have
    labels: Path | None = None  # `folder`: where labels are, if not in the source
    classes: ClassTable | None = None  # `folder`: the classes; None: as many as the labels use
    palette: Path | Literal["auto"] | None = None  # `folder`: file of the classes of colours; "auto": each is a class
    label_pattern: str | None = None  # `folder`: name of a label, such as "{stem}_mask.png"; None: the usual names
    remap: dict[int, int] | None = None  # `folder`: label value to class, -1 for none; None: found out
    void: tuple[int, ...] | None = None  # `folder`: label values of no class; None: 255, but in binary labels
    val: float = 0.2  # `folder`: share of the photographs in the split `val`
    limit: int | None = None  # at most so many photographs of each split
    fraction: float | None = None  # this share of each split
    seed: int = 0
    crops: CutCrops | None = None  # five crops of each training photograph
    ratio: float = 0.5  # a crop's sides to the photograph's
    resize: int | None = None  # shorter side, pixels; smaller photographs stay as they are
    link: bool = False  # hard links instead of copies
    unlabelled: bool = False  # also photographs that are in no official split
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.crops is not None:
            check_choice("crops", self.crops, CutCrops)
        for field_name in ("ratio", "fraction"):
            share = getattr(self, field_name)
            if share is not None and not 0 < share <= 1:
                raise UsageError(f"must be above 0 and at most 1, got {share}", field=field_name)
        check_at_least("limit", self.limit, 1)
        check_at_least("resize", self.resize, 1)
        if not 0 <= self.val <= 1:
            raise UsageError(f"must be 0 to 1, got {self.val}", field="val")
        if self.mirror and not self.download:
            raise UsageError(f"{setting('mirror')} is for downloads.", f"Give {setting('download', True)} too.")
        if self.link and (self.crops or self.resize):
            raise UsageError(
                f"{setting('link')} keeps photographs, and {setting('crops')} and {setting('resize')} change them.",
                "Leave one out.",
            )
        if self.name != "folder":
            for field_name in ("labels", "classes", "palette", "label_pattern", "remap", "void"):
                if getattr(self, field_name) is not None:
                    raise UsageError(f"{setting(field_name)} is for the data set folder; {self.name} has its own.")


def check_choice(field: str, value: str, choices: object) -> None:
    """Refuse a value that is none of `choices`, a Literal."""
    *others, last = get_args(choices)
    if value not in (*others, last):
        raise UsageError(f"must be {', '.join(others)} or {last}, got {value!r}", field=field)


def check_at_least(field: str, value: float | None, least: float) -> None:
    """Refuse a number below `least`."""
    if value is not None and not value >= least:
        raise UsageError(f"must be {least} or more, got {value}", field=field)


def check_classes(classes: int | None) -> None:
    """Refuse a number of classes that a mask cannot hold."""
    if classes is not None and not 2 <= classes <= 256:
        raise UsageError(f"must be 2 to 256, which a mask can hold, got {classes}", field="classes")


def check_overcluster(overcluster: int | str | None, classes: int | None) -> None:
    """Refuse a number of clusters that a mask cannot hold, or that is smaller than that of the classes."""
    if overcluster in (None, "auto"):
        return
    if not isinstance(overcluster, int) or not 2 <= overcluster <= MOST_CLUSTERS:
        raise UsageError(f"must be 'auto' or 2 to {MOST_CLUSTERS}, got {overcluster!r}", field="overcluster")
    if classes is not None and overcluster < classes:
        raise UsageError(f"must be at least the number of classes, {classes}, got {overcluster}", field="overcluster")


def clusters_for(overcluster: int | str | None, classes: int) -> int:
    """Return how many clusters are to be found for K classes; "auto" is 4 K."""
    wanted = AUTO_CLUSTERS * classes if overcluster == "auto" else overcluster
    return classes if wanted is None else max(classes, min(MOST_CLUSTERS, int(wanted)))


def check_res(res: int | None) -> None:
    """Refuse a work resolution below one patch."""
    check_at_least("res", res, 16)
