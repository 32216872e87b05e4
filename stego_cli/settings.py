"""One frozen settings object a task; commands build them, library functions read them.

Every field is plain data, so that a settings object goes into JSON as it is (`dataclasses.asdict`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stego_cli.errors import UsageError

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
class Reading:
    """How pictures become RGB of 8 bits; grey and RGB of 8 bits are that already, and taken as they are."""

    bands: tuple[int, ...] = ()  # one (grey) or three (red, green, blue), from 1; (): the first three, or the only one
    stretch: str = (
        "auto"  # of numbers of more than 8 bits: "auto", "none", "LOW,HIGH", or "PERCENT" cut off at each end
    )
    accept_truncated: bool = False  # take what is there of a file that is cut short
    ranges: tuple[tuple[str, float, float], ...] = ()  # as decided for a run: kind of numbers, black, white

    def __post_init__(self) -> None:
        if self.bands and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise UsageError(f"must be one or three numbers from 1, got {self.bands}", field="bands")
        if self.stretch not in ("auto", "none") and self.limits is None and self.percent is None:
            raise UsageError(
                f"must be auto, none, two numbers LOW,HIGH with LOW below HIGH, or a percentage from 0 to below 50, "
                f"got {self.stretch!r}",
                field="stretch",
            )

    @property
    def limits(self) -> tuple[float, float] | None:
        """The numbers that become black and white, where `stretch` gives them."""
        try:
            low, high = map(float, self.stretch.split(","))
        except ValueError:
            return None
        return (low, high) if -math.inf < low < high < math.inf else None

    @property
    def percent(self) -> float | None:
        """The share of the numbers that is cut off at each end, in percent, where `stretch` is one."""
        try:
            percent = float(self.stretch.removesuffix("%"))
        except ValueError:
            return None
        return percent if 0 <= percent < 50 else None

    @property
    def asked(self) -> Reading:
        """What was asked for, without what was decided."""
        return replace(self, ranges=())

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {
            "bands": list(self.bands),
            "stretch": self.stretch,
            "accept_truncated": self.accept_truncated,
            "ranges": [list(one) for one in self.ranges],
        }

    @classmethod
    def from_dict(cls, fields: Any) -> Reading:  # noqa: ANN401  (JSON from outside)
        """Return the settings that `as_dict` gave.

        Raises:
            ValueError: they are something else.
        """
        try:
            return cls(
                tuple(int(band) for band in fields["bands"]),
                str(fields["stretch"]),
                bool(fields["accept_truncated"]),
                tuple((str(kind), float(low), float(high)) for kind, low, high in fields["ranges"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError, UsageError) as error:
            raise ValueError("not settings of reading pictures") from error


@dataclass(frozen=True)
class Selection:
    """Which files of a folder are photographs to work on. Patterns are those of a shell; `*` stands for `/` too.

    A pattern is compared with a file's path below the folder, and with its name alone.
    """

    include: tuple[str, ...] = ()  # only files that match one of these; (): all
    exclude: tuple[str, ...] = ()  # no files and no folders that match one of these
    follow_links: bool = False  # look into folders that are links, each folder once


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
