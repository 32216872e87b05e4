"""What a model file promises: names of inputs and outputs, and the JSON in its metadata, read and written here."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Annotated

from msgspec import Meta, Struct

from stego_cli.checked_json import parse
from stego_cli.errors import ModelError
from stego_cli.hierarchy import Hierarchy, check_hierarchy
from stego_cli.palette import Colour
from stego_cli.reading import LONGEST_NAME, Ranges, check_bands, check_ranges
from stego_cli.settings import Precision, Probe, Token

FORMAT = 1
FORMAT_WITH_VALUES = 2  # of files whose classes are not 0, 1, 2 ... in masks, which a version that reads 1 cannot use
METADATA_KEY = "stego"
LARGEST = 2**31 - 1  # bytes of a model file: what protobuf holds in one message
PRODUCER = "stego-cli"  # which a model file names near its beginning
OURS = re.compile(b".{1,16}" + PRODUCER.encode(), re.DOTALL)
INPUT = "image"  # uint8 (B, H, W, 3), RGB
CLUSTER_OUTPUT = "cluster_log_probs"  # float32 (B, K, H, W)
LINEAR_OUTPUT = "linear_log_probs"  # float32 (B, C, H, W), when labels trained one
FOUND_CLUSTERS = "found_clusters"  # key of the metadata: see stego_cli/gallery/moves.py
OUTPUTS: dict[Probe, str] = {"cluster": CLUSTER_OUTPUT, "linear": LINEAR_OUTPUT}

# The order of the keys in the file.
_KEYS = (
    "format",
    "stego_version",
    "classes",
    "class_names",
    "palette",
    "shares",
    "hierarchy",
    "patch",
    "res",
    "backbone",
    "block",
    "token",
    "flip",
    "precision",
    "weights_sha256",
    "checkpoint_sha256",
    "linear_class_names",
    "linear_palette",
    "bands",
    "stretch",
    "res_ground",
    "parity",
    FOUND_CLUSTERS,
)
_OPTIONAL = {
    *("linear_class_names", "linear_palette", "parity", "hierarchy", "bands", "stretch", "res_ground"),
    FOUND_CLUSTERS,
}


Byte = Annotated[int, Meta(ge=0, le=255)]


@dataclass(frozen=True)
class ModelInfo:
    """The metadata that inference needs.

    Attributes:
        classes: K.
        class_names: K names.
        palette: K colours.
        patch: height and width are multiples of it.
        res: shorter side it was trained at, pixels.
        backbone: name of the backbone.
        flip: whether flip averaging is in the graph.
        precision: "fp32", "fp16" or "int8".
        linear_class_names: names of the linear probe's classes; empty without one.
        linear_palette: their colours.
        mask_values: value of each class's pixels in a mask, 255 for void; empty: the classes' own numbers.
        classes_file: text of the classes file that the model was edited with; empty: the classes are as found.
        hierarchy: which of the clusters that were found a coarser choice joins (stego_cli.hierarchy); empty: unknown.
        bands: that it was trained on, numbers from 1 or names; empty: the first ones.
        stretch: the range of each kind of numbers of more than 8 bits that it was trained on.
        res_ground: size of a pixel on the ground in the rasters that it was trained on; None: their own.
    """

    classes: Annotated[int, Meta(le=256)]
    class_names: tuple[str, ...]
    palette: list[Colour]
    patch: Annotated[int, Meta(le=1024)]
    res: Annotated[int, Meta(le=65536)]
    backbone: str
    flip: bool
    precision: Precision
    linear_class_names: tuple[str, ...] = ()
    linear_palette: tuple[Colour, ...] = ()
    mask_values: tuple[int, ...] = ()
    classes_file: str = ""
    hierarchy: Hierarchy = ()
    bands: tuple[Annotated[int, Meta(ge=1)] | Annotated[str, Meta(max_length=LONGEST_NAME)], ...] = ()
    stretch: Ranges = ()
    res_ground: Annotated[float, Meta(gt=0)] | None = None

    def names(self, probe: Probe) -> tuple[str, ...]:
        """Return the names of a probe's classes, in the order of their ids."""
        return self.class_names if probe == "cluster" else self.linear_class_names

    def colours(self, probe: Probe) -> list[Colour]:
        """Return the colours of a probe's classes, in the order of their ids."""
        return self.palette if probe == "cluster" else list(self.linear_palette)


@dataclass(frozen=True)
class Parity:
    """Largest difference of a log-probability, and smallest share of pixels with the same class, over all shapes."""

    difference: float
    agreement: float


@dataclass(frozen=True)
class ExportRecord:
    """The metadata that inference does not need: how the model was made.

    Attributes:
        stego_version: of the exporter.
        shares: of training patches in each class; empty if they were not counted.
        block: of the backbone, 0-based.
        token: kind of that block's tokens.
        weights_sha256: of the backbone's weights file.
        checkpoint_sha256: of the checkpoint's tensors.
        parity: what the comparison with the trained model found; None before it.
        found_clusters: where they were found, if labels moved them since (stego_cli/gallery/moves.py).
    """

    stego_version: str
    shares: tuple[float, ...]
    block: int
    token: str
    weights_sha256: str
    checkpoint_sha256: str
    parity: Parity | None = None
    found_clusters: str = ""


class _Format(Struct):
    """What is read first."""

    format: int


class _Found(Struct):
    """The classes of an edited model before the edits."""

    classes: Annotated[int, Meta(ge=1, le=256)]


class _Checked(Struct):
    """What is checked but not used: bounds that the types of ModelInfo lack, and how the model was made."""

    palette: list[tuple[Byte, Byte, Byte]]
    linear_palette: list[tuple[Byte, Byte, Byte]] = []
    mask_values: list[Byte] = []
    stego_version: str = ""
    shares: list[Annotated[float, Meta(ge=0, le=1)]] = []
    block: Annotated[int, Meta(ge=0, le=1000)] = 0
    token: Token = "feat"
    weights_sha256: str = ""
    checkpoint_sha256: str = ""
    parity: dict[str, float] | None = None
    found: _Found | None = None
    found_clusters: str = ""


def metadata_text(info: ModelInfo, record: ExportRecord | None = None) -> str:
    """Return the metadata of a model file; the same values give the same text. What is empty or None is left out."""
    made = {} if record is None else asdict(record)
    fields = {"format": FORMAT, **asdict(info), **made}
    return json.dumps({key: fields[key] for key in _KEYS if key in fields and (fields[key] or key not in _OPTIONAL)})


def parse_metadata(text: str | None, name: str) -> ModelInfo:
    """Read the metadata of the model file `name`.

    Raises:
        ModelError: it is not a model file of this tool, or of a format that this version cannot read.
    """
    if text is None:
        raise ModelError(f"{name} is an ONNX file, but not one that `stego export-onnx` wrote.")
    try:
        if (version := parse(text, _Format).format) not in (FORMAT, FORMAT_WITH_VALUES):
            raise ModelError(f"{name} has model format {version}; this version reads {FORMAT}.", "Export it again.")
        found = parse(text, _Checked).found
        info = parse(text, ModelInfo)
        check_hierarchy(info.hierarchy, found.classes if found else info.classes)
        check_ranges(info.stretch)
        if info.bands:
            check_bands(info.bands)
        if info.res_ground == math.inf:
            raise ValueError("its ground resolution is infinite")
    except ValueError as error:
        raise ModelError(f"{name} has damaged metadata: {error}.", "Export it again.") from error
    consistent = len(info.class_names) == len(info.palette) == info.classes
    consistent &= len(info.linear_class_names) == len(info.linear_palette) <= 256
    consistent &= len(info.mask_values) in (0, info.classes)
    if not (consistent and info.classes > 0 and info.patch > 0 and info.res > 0):
        raise ModelError(f"{name} has metadata that contradicts itself.", "Export it again.")
    return info
