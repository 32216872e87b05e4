"""A RUN folder: `model.safetensors` (head and probes), `config.json` (everything resolved), `metrics.jsonl`.

The backbone is frozen and large, so a checkpoint holds only its name and the hash of its weights. An imported
checkpoint has a backbone of its own, in `backbone.safetensors`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from stego_cli import page
from stego_cli.checked_json import parse, parse_file
from stego_cli.errors import ModelError, UsageError, WeightsError
from stego_cli.hierarchy import Hierarchy, check_hierarchy, hierarchy_of
from stego_cli.images.atomic import sha256, write_bytes
from stego_cli.images.ownership import require_ours_or_absent
from stego_cli.model.backbones import Backbone, backbone
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.provenance import Provenance
from stego_cli.model.segmenter import Segmenter
from stego_cli.model.vit import build
from stego_cli.model.weights import pull, weights_sha256
from stego_cli.palette import Colour
from stego_cli.progress import Progress
from stego_cli.reading import LONGEST_NAME, Ranges, check_bands, check_ranges
from stego_cli.settings import PAPER_TEMPERATURE, Token, TrainSettings

FORMAT = 1
MODEL_FILE, CONFIG_FILE, METRICS_FILE = "model.safetensors", "config.json", "metrics.jsonl"
BACKBONE_FILE = "backbone.safetensors"  # of a backbone whose source is "run"
# What the files of a run begin with, besides config.json: of a run that was killed before its first checkpoint.
_OURS = {
    MODEL_FILE: re.compile(rb'.{8}\{.*"head\.', re.DOTALL),
    METRICS_FILE: re.compile(rb'\{"step":'),
    BACKBONE_FILE: re.compile(rb".{8}\{", re.DOTALL),
    "report.html": page.OURS,
}
_BEFORE = {"temperature": PAPER_TEMPERATURE, "smoothing": 0.0}  # settings of runs from before these were stored
_LINEAR = ("linear_names", "linear_palette")  # keys that config.json has only if the probe's classes have names
_KEYS = {  # of config.json, besides those of the provenance
    *("format", "model_sha256", "classes", "shares", "hierarchy", "backbone", "block", "token", "weights_sha256"),
    *("res", "settings"),
    *_LINEAR,
}


@dataclass(frozen=True)
class Checkpoint:
    """The result of training, or of importing an original checkpoint.

    Attributes:
        head: features to codes.
        cluster: the cluster probe; its centroids are float32 of unit length, the most frequent class first (in an
            import: in the original's order).
        shares: (K,) share of training patches in each class, adding up to 1; empty if they were not counted.
        backbone: the backbone's row, filled in.
        block: its 0-based block.
        token: the kind of its tokens, "feat" or "key".
        weights_sha256: of the backbone's weights file.
        res: shorter side of the photographs it was trained on, pixels.
        settings: the training settings, everything resolved.
        provenance: how it was made.
        linear: weight (C, D) and bias (C,) of the linear probe, float32, if there is one.
        linear_names: C names of its classes; empty: they have none.
        linear_palette: C colours of its classes; empty: they have none of their own.
        folder: the run folder that it was read from.
        found: the cluster probe as training found it, if labels changed it since.
    """

    head: Head
    cluster: ClusterProbe
    shares: tuple[float, ...]
    backbone: Backbone
    block: int
    token: str
    weights_sha256: str
    res: int
    settings: TrainSettings
    provenance: Provenance = field(default_factory=Provenance)
    linear: tuple[Tensor, Tensor] | None = None
    linear_names: tuple[str, ...] = ()
    linear_palette: tuple[Colour, ...] = ()
    folder: Path | None = None
    found: ClusterProbe | None = None

    @property
    def centroids(self) -> Tensor:
        """Those of the cluster probe: (K, D) float32."""
        return self.cluster.centroids

    @property
    def hierarchy(self) -> Hierarchy:
        """Which clusters a coarser choice of classes joins, by where they were found."""
        sizes = [round(share, 6) for share in self.shares]  # as in config.json
        return hierarchy_of((self.found or self.cluster).centroids.numpy(), sizes)


_Byte = Annotated[int, Meta(ge=0, le=255)]
_Count = Annotated[int, Meta(ge=0)]


class _Format(Struct):
    """What is read first."""

    format: int


@dataclass(frozen=True)
class _Backbone(Backbone):
    """The bounds of a row in config.json: its names are neither paths nor addresses."""

    name: Annotated[str, Meta(pattern=r"^[\w.:-]+$")]
    timm_name: Annotated[str, Meta(pattern=r"^[\w.-]*$")]
    patch: Annotated[int, Meta(ge=1, le=1024)]
    width: Annotated[int, Meta(ge=1, le=65536)]
    blocks: Annotated[int, Meta(ge=1, le=1000)]
    source: Literal["hub", "wheel", "run"] = "hub"


class _Config(Struct):
    """The schema of config.json."""

    classes: Annotated[int, Meta(ge=1, le=256)]
    shares: tuple[Annotated[float, Meta(ge=0, le=1)], ...]
    backbone: _Backbone
    block: int
    token: Token
    weights_sha256: str
    res: Annotated[int, Meta(ge=16, le=65536)]
    settings: dict[str, Any]
    hierarchy: Hierarchy = ()
    model_sha256: str | None = None
    linear_names: tuple[str, ...] = ()
    linear_palette: tuple[tuple[_Byte, _Byte, _Byte], ...] = ()
    # Of the provenance: what is read again.
    stego_version: str | None = None
    photographs: _Count | None = None
    photographs_failed: _Count | None = None
    steps_done: _Count | None = None
    last: dict[str, Any] | None = None
    class_curve: list[dict[str, float]] = []
    blocks: list[dict[str, float]] = []
    linear_classes: _Count | None = None
    linear_accuracy: float | None = None
    bands: tuple[Annotated[int, Meta(ge=1)] | Annotated[str, Meta(max_length=LONGEST_NAME)], ...] = ()
    stretch: Ranges = ()
    res_ground: Annotated[float, Meta(gt=0)] | None = None
    imported: dict[str, Any] | None = None


def save_checkpoint(checkpoint: Checkpoint, run: Path) -> None:
    """Write a checkpoint into the folder `run`, each file whole or not at all; the same content gives the same bytes.

    Raises:
        OutputError: the folder cannot be written.
    """
    tensors = {f"head.{name}": value for name, value in checkpoint.head.state_dict().items()}
    tensors |= {f"cluster.{name}": value for name, value in checkpoint.cluster.state_dict().items()}
    if checkpoint.linear is not None:
        tensors["linear.weight"], tensors["linear.bias"] = checkpoint.linear
    if checkpoint.found is not None:
        tensors |= {f"found.{name}": value for name, value in checkpoint.found.state_dict().items()}
    contiguous = {name: value.detach().cpu().float().contiguous() for name, value in tensors.items()}
    content = save(contiguous)
    config = {
        "format": FORMAT,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "classes": len(checkpoint.cluster),
        "shares": [round(share, 6) for share in checkpoint.shares],
        "hierarchy": checkpoint.hierarchy,
        "backbone": asdict(checkpoint.backbone),
        "block": checkpoint.block,
        "token": checkpoint.token,
        "weights_sha256": checkpoint.weights_sha256,
        "res": checkpoint.res,
        "settings": asdict(checkpoint.settings),
        **{name: value for name in _LINEAR if (value := getattr(checkpoint, name))},
        **checkpoint.provenance.as_config(),
    }
    # config.json comes last and has the other's hash: if the two fit, the folder holds a whole checkpoint.
    write_bytes(run / MODEL_FILE, content)
    write_bytes(run / CONFIG_FILE, (json.dumps(config, indent=2) + "\n").encode())


def load_checkpoint(run: Path) -> Checkpoint:
    """Read the checkpoint in the folder `run`.

    Raises:
        UsageError: there is none.
        ModelError: it is damaged, or of a newer format.
    """
    if not (run / CONFIG_FILE).is_file():
        raise UsageError(f"{run} holds no checkpoint ({CONFIG_FILE} is missing).", "Make one with `stego train`.")
    try:
        if (version := parse_file(run / CONFIG_FILE, _Format).format) != FORMAT:
            raise ModelError(f"{run} has checkpoint format {version}; this version reads {FORMAT}.")
        stored = parse_file(run / CONFIG_FILE, _Config)
        if stored.model_sha256 not in (None, sha256(run / MODEL_FILE)):
            raise ValueError(f"{MODEL_FILE} is not the one that {CONFIG_FILE} was written for")
        with safe_open(run / MODEL_FILE, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
        settings = TrainSettings(**{**_BEFORE, **_tuples(stored.settings)})
        parse(json.dumps(asdict(settings)), TrainSettings)  # the types
        head = Head(stored.backbone.width, settings.code, nonlinear="head.cluster2.0.weight" in tensors)
        head.load_state_dict({k.removeprefix("head."): v for k, v in tensors.items() if k.startswith("head.")})
        linear = (tensors["linear.weight"], tensors["linear.bias"]) if "linear.weight" in tensors else None
        cluster = _cluster(tensors, "cluster", stored, settings)
        found = _cluster(tensors, "found", stored, settings) if "found.centroids" in tensors else None
        _check_stored(stored, settings.code, linear)
        config = parse_file(run / CONFIG_FILE, dict[str, Any])
        return Checkpoint(
            head=head,
            cluster=cluster,
            shares=stored.shares,
            backbone=Backbone(**vars(stored.backbone)),
            block=stored.block,
            token=stored.token,
            weights_sha256=stored.weights_sha256,
            res=stored.res,
            settings=settings,
            provenance=Provenance.from_config({key: value for key, value in config.items() if key not in _KEYS}),
            linear=linear,
            linear_names=stored.linear_names,
            linear_palette=stored.linear_palette,
            folder=run,
            found=found,
        )
    except UsageError as error:  # of the settings in it
        raise ModelError(f"The checkpoint in {run} is damaged: {error}.", "Train again, or restore it.") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split()).removesuffix(".")
        raise ModelError(f"The checkpoint in {run} is damaged: {reason}.", "Train again, or restore it.") from error


def _cluster(tensors: dict[str, Tensor], name: str, stored: _Config, settings: TrainSettings) -> ClusterProbe:
    """Return the cluster probe that is stored under a name."""
    probe = ClusterProbe(tensors[f"{name}.centroids"], settings.temperature, tensors.get(f"{name}.log_prior"))
    shape, prior = probe.centroids.shape, probe.log_prior
    if shape != (stored.classes, settings.code):
        raise ValueError(f"the centroids have the shape {tuple(shape)}, not {stored.classes, settings.code}")
    if prior is not None and (prior.shape != (stored.classes,) or not prior.isfinite().all()):
        raise ValueError(f"the prior is not {stored.classes} finite numbers")
    return probe


def _check_stored(stored: _Config, code: int, linear: tuple[Tensor, Tensor] | None) -> None:
    classes = 0 if linear is None else len(linear[1])
    if linear is not None and (linear[0].shape != (classes, code) or linear[1].shape != (classes,)):
        raise ValueError(f"the linear probe has the shape {tuple(linear[0].shape)}")
    for name in ("linear_names", "linear_palette"):
        if len(getattr(stored, name)) not in (0, classes):
            raise ValueError(f"{name} is not a list of {classes}")
    if len(stored.shares) not in (0, stored.classes):
        raise ValueError(f"shares is not a list of {stored.classes}")
    check_hierarchy(stored.hierarchy, stored.classes)
    check_ranges(stored.stretch)
    if stored.bands:
        check_bands(stored.bands)
    if not 0 <= stored.block < stored.backbone.blocks:
        raise ValueError(f"block is {stored.block}, and the backbone has {stored.backbone.blocks}")


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}


def segmenter(checkpoint: Checkpoint, flip: bool, progress: Progress) -> Segmenter:
    """Put the checkpoint's backbone under its head and probes.

    Raises:
        WeightsError: the backbone's weights cannot be fetched, or are not those that the head was trained on.
    """
    if checkpoint.backbone.source == "run":
        row, weights = checkpoint.backbone, _own_backbone(checkpoint)
    else:
        row = backbone(checkpoint.backbone.name)
        weights = pull(row, progress)
    if weights_sha256(weights) != checkpoint.weights_sha256:
        raise WeightsError(
            f"{weights} is not the {row.name} that this head was trained on (its sha256 differs).",
            "Import the checkpoint again."
            if row.source == "run"
            else f"Delete it and run `stego models pull {row.name}`, or train again.",
        )
    vit = build(row, weights, checkpoint.block, checkpoint.token)
    return Segmenter(vit, checkpoint.head, checkpoint.cluster, checkpoint.linear, flip, checkpoint.settings.smoothing)


def _own_backbone(checkpoint: Checkpoint) -> Path:
    if checkpoint.folder is None or not (file := checkpoint.folder / BACKBONE_FILE).is_file():
        raise WeightsError(
            f"The backbone of this run is missing: {checkpoint.folder or 'it'} has no {BACKBONE_FILE}.",
            "Import the checkpoint again, or copy the whole folder.",
        )
    return file


def require_own_run_files(run: Path, overwrite: bool | None) -> None:
    """Refuse to write a run where files with the names of its own are something else.

    Args:
        run: the folder.
        overwrite: whether they may be replaced all the same; None: the caller has no such setting.

    Raises:
        UsageError: there is one.
        OutputError: one is no regular file.
    """
    for name, ours in _OURS.items():
        require_ours_or_absent(run / name, ours, overwrite)


def newest_run(folder: Path) -> Path:
    """Return the run in `folder`, or in a folder directly below it, that was saved last.

    Raises:
        UsageError: there is none.
    """
    runs = [file for pattern in (CONFIG_FILE, f"*/{CONFIG_FILE}") for file in folder.glob(pattern)]
    # Other tools use these file names too; only our config.json has the hash of the backbone's weights.
    runs = [file for file in runs if (file.parent / MODEL_FILE).is_file() and b'"weights_sha256"' in file.read_bytes()]
    if not runs:
        raise UsageError(f"There is no run in {folder.absolute()} or directly below it.", "Name one, or `stego train`.")
    return max(runs, key=lambda file: file.stat().st_mtime).parent
