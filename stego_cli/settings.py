"""One frozen settings object a task; commands build them, library functions read them.

Every field is plain data, so that a settings object goes into JSON as it is (`dataclasses.asdict`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from stego_cli.classes import LARGEST_ID, ClassTable
from stego_cli.errors import UsageError, setting

Match = Literal["hungarian", "identity", "majority"]
ScoreMode = Literal["honest", "stego"]
CutCrops = Literal["five", "random"]

DEFAULT_BACKBONE = "focus-vits14"
DEFAULT_RES = 320  # shorter side in pixels, the resolution of the paper's evaluation
DEFAULT_STEPS = 250  # of training: short on purpose (docs/training.md)
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
    """Everything that decides a trained head, given the photographs."""

    preset: str = "auto"  # the name that the other values came by
    scheme: str = "auto"  # "auto" or "paper": how a step draws its pairs and finds the clusters (training/fit.py)
    backbone: str = DEFAULT_BACKBONE
    block: int | str | None = None  # 0-based block whose tokens are the features; None: the row's; "auto": found out
    token: str = "feat"  # "feat": normed patch tokens of the block; "key": its attention keys
    res: int = DEFAULT_RES  # shorter side of a photograph, pixels, rounded to whole patches
    crops: str = "none"  # "five": each photograph is used as five crops of it
    crop_ratio: float = 0.5  # a crop's share of the photograph's width and height
    classes: int | None = None  # clusters K; None: as many as are found again and again
    code: int = 70  # width of the code
    steps: int = DEFAULT_STEPS  # updates of the head
    batch: int = 32  # photographs an update
    points: int = 11  # sampled points a side, as in the paper
    neighbours: int = 7  # an image's positives are drawn from this many nearest
    permutations: int = 5  # negative pairings of a batch
    lr: float = 5e-4  # of the head
    probe_lr: float = 5e-3  # of centroids that are trained beside the head (scheme "paper")
    dropout: float = 0.1
    centring: bool = True  # subtract each point's mean from F ("pointwise")
    clamp: bool = True  # leave negative S without a gradient
    weights: tuple[float, float, float] = (0.63, 0.25, 0.67)  # negative, inter, intra
    quantiles: tuple[float, float, float] = (0.95, 0.6, 0.5)  # of centred F, for each b; negative, inter, intra
    shifts: tuple[float, float, float] | None = None  # b itself, in the same order; None: from the quantiles
    whiten: int = 32  # F is computed on this many whitened principal components; 0: raw features
    restarts: int = 10  # of k-means
    temperature: float = 5.0  # of the cluster probe's softmax: the more, the less a CRF changes
    seed: int = 0
    device: str = "auto"
    cache_memory_mb: int = 1024  # features beyond this go to a memory-mapped file
    max_cache_gb: float = 64.0  # features beyond this are computed anew whenever they are needed

    def __post_init__(self) -> None:
        if self.classes is not None and not 2 <= self.classes <= 256:
            raise UsageError(f"--classes is {self.classes}; a mask holds 2 to 256 classes.")
        if self.res < 16:
            raise UsageError(f"--res is {self.res}; the shorter side must be at least 16 pixels.")
        if self.steps < 0:
            raise UsageError(f"--steps is {self.steps}; it must be 0 (cluster the raw head) or more.")
        if self.token not in ("feat", "key"):
            raise UsageError(f"--token is {self.token!r}; it is 'feat' or 'key'.")
        if isinstance(self.block, str) and self.block != "auto":
            raise UsageError(f"--block is {self.block!r}; it is a number or 'auto'.")
        if self.crops not in ("none", "five"):
            raise UsageError(f"--crops is {self.crops!r}; it is 'none' or 'five'.")


@dataclass(frozen=True)
class ExportSettings:
    """How a checkpoint becomes a model file."""

    precision: str = "fp32"  # "fp32", "fp16" or "int8"
    flip: bool = False  # average the code with that of the mirrored photograph

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "fp16", "int8"):
            raise UsageError(f"--precision is {self.precision!r}; it is 'fp32', 'fp16' or 'int8'.")


@dataclass(frozen=True)
class SegmentSettings:
    """Everything that decides a mask, given the photograph and the model, and how the run is done."""

    model: Path
    photos: Path
    out: Path
    res: int | None = None  # shorter side, pixels; None: the model's own
    crf: CrfSettings | None = field(default_factory=CrfSettings)  # None: no CRF
    crf_engine: str = "auto"  # a key of stego_cli.crf.CHOICES; engines give equal masks
    probe: str = "cluster"
    overlay: bool = False
    probabilities: bool = False  # keep x.probs.npz beside each mask
    device: str = "auto"
    batch_size: int | None = None  # None: chosen from the device
    workers: int | None = None  # photographs refined at once; None: one a core
    overwrite: bool = False
    retry_failed: bool = False  # only photographs that failed before
    min_free: float = 0.0  # gigabytes below which the run ends
    shard: str = ""  # "I/N" where several runs share one output folder


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

    def __post_init__(self) -> None:
        if self.match not in get_args(Match):
            raise UsageError(f"must be {_either(Match)}, got {self.match!r}", field="match")
        if self.mode not in get_args(ScoreMode):
            raise UsageError(f"must be {_either(ScoreMode)}, got {self.mode!r}", field="mode")
        if isinstance(self.ignore, int) and not 0 <= self.ignore <= LARGEST_ID:
            raise UsageError(f"must be a label value, 0 to {LARGEST_ID}, got {self.ignore}", field="ignore")
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"must be at least 1, got {self.workers}", field="workers")
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
        if self.crops is not None and self.crops not in get_args(CutCrops):
            raise UsageError(f"must be {_either(CutCrops)}, got {self.crops!r}", field="crops")
        for field_name in ("ratio", "fraction"):
            share = getattr(self, field_name)
            if share is not None and not 0 < share <= 1:
                raise UsageError(f"must be above 0 and at most 1, got {share}", field=field_name)
        for field_name in ("limit", "resize"):
            count = getattr(self, field_name)
            if count is not None and count < 1:
                raise UsageError(f"must be at least 1, got {count}", field=field_name)
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


def _either(choices: object) -> str:
    """Return the values of a Literal as a text."""
    *first, last = get_args(choices)
    return f"{', '.join(first)} or {last}"
