"""Import of checkpoints of the original STEGO (arXiv 2203.08414).

They are Lightning's: a flat table of tensors and, among the hyper-parameters, the configuration of the training. They
include their frozen DINO backbone, and so does the run, in `backbone.safetensors`. Sizes are taken from the shapes of
the tensors; the configuration decides only what shapes do not show (the kind of features and of head).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from stego_cli.checked_json import parse_file
from stego_cli.classes import TABLES, ClassTable
from stego_cli.errors import ModelError, UsageError, setting
from stego_cli.images.atomic import require_writable, sha256, write_bytes
from stego_cli.model.backbones import BACKBONES, Backbone
from stego_cli.model.checkpoint import BACKBONE_FILE, CONFIG_FILE, Checkpoint, require_own_run_files, save_checkpoint
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.provenance import Provenance
from stego_cli.model.torch_archive import Record, StoredTensor, TorchArchive
from stego_cli.model.weights import weights_sha256
from stego_cli.settings import DEFAULT_RES, PAPER_TEMPERATURE, Token, TrainSettings
from stego_cli.text import shown

_BACKBONES = {
    ("vit_small", 16): "dino-vits16",
    ("vit_small", 8): "dino-vits8",
    ("vit_base", 16): "dino-vitb16",
    ("vit_base", 8): "dino-vitb8",
}
_TOKENS: dict[str, Token] = {"feat": "feat", "KK": "key"}
_TABLES = {"cocostuff27": "cocostuff27", "cityscapes": "cityscapes", "potsdam": "potsdam3"}
_PRETRAINING_SIDE = 224  # pixels; DINO's table of position embeddings is for images of this side
_MOST_CLASSES = 256  # that a mask can hold
_WIDEST_CODE = 65536

Facts = dict[str, str | int | float | bool | None]


def import_checkpoint(file: Path, run: Path) -> Checkpoint:
    """Read a checkpoint of the original STEGO and write it as the run folder `run`.

    Nothing in `file` is executed. Of the result's settings only backbone, block, token, classes and code are the
    checkpoint's; the others are defaults. Its own configuration is kept in `provenance.imported`.

    Raises:
        ModelError: it is damaged, lacks something, holds what this tool does not support, or asks to run code.
        UsageError: `run` already holds another run.
        OutputError: `run` cannot be written.
    """
    with TorchArchive(file) as archive:
        source = _Source(archive, shown(file))
        row = source.backbone()
        weights = source.backbone_weights(row)
        head = source.head(row.width)
        cluster, linear = source.probes(head.cluster1.out_features)
    names = source.names(linear)
    digest = sha256(file)
    _refuse_other_run(run, digest)
    require_writable(run)
    write_bytes(run / BACKBONE_FILE, save(weights))
    block, token = row.blocks - 1, source.token()
    settings = TrainSettings(
        backbone=row.name,
        block=block,
        token=token,
        classes=len(cluster),
        code=head.cluster1.out_features,
        temperature=PAPER_TEMPERATURE,
        smoothing=0.0,
    )
    checkpoint = Checkpoint(
        head=head,
        cluster=cluster,
        shares=(),
        backbone=row,
        block=block,
        token=token,
        weights_sha256=weights_sha256(run / BACKBONE_FILE),
        res=DEFAULT_RES,
        settings=settings,
        provenance=Provenance(imported={"file": shown(file.name), "sha256": digest, "configuration": source.config}),
        linear=linear,
        linear_names=names.names if names else (),
        linear_palette=tuple(names.colours) if names else (),
        folder=run,
    )
    save_checkpoint(checkpoint, run)
    return checkpoint


class _Source:
    """The parts of an original checkpoint. Each method checks the part that it returns.

    Attributes:
        config: the plain values of its configuration.
    """

    def __init__(self, archive: TorchArchive, name: str) -> None:
        self._archive, self._name = archive, name
        content = _members(archive.content)
        if "state_dict" not in content or "hyper_parameters" not in content:
            raise ModelError(
                f"{name} is not a checkpoint of the original STEGO: it has no state_dict, or no hyper_parameters.",
                "Give a .ckpt that the original's training wrote, not the weights of a backbone alone.",
            )
        self._tensors = _members(content["state_dict"])
        parameters = _members(content["hyper_parameters"])
        self.config = _plain(_members(parameters.get("cfg")))
        if not self.config:
            raise ModelError(f"{name} has no configuration (hyper_parameters.cfg), which is needed to import it.")

    def backbone(self) -> Backbone:
        """Return the row of its backbone."""
        arch, model = self.config.get("arch", "dino"), self._setting("model_type")
        patch = self._setting("dino_patch_size")
        if arch != "dino":
            raise ModelError(f"{self._name} has the architecture {arch!r}; only 'dino' is supported.")
        if (model, patch) not in _BACKBONES:
            raise ModelError(
                f"{self._name} has the backbone {model!r} with patch {patch!r}, which is not supported.",
                "Supported are vit_small and vit_base with patch 8 or 16.",
            )
        row = BACKBONES[_BACKBONES[str(model), int(str(patch))]]
        return replace(row, source="run", about="DINO, as the imported checkpoint carries it")

    def token(self) -> Token:
        """Return the kind of its features."""
        kind = self._setting("dino_feat_type")
        if kind not in _TOKENS:
            raise ModelError(f"{self._name} uses {kind!r} features; supported are 'feat' and 'KK'.")
        return _TOKENS[str(kind)]

    def backbone_weights(self, row: Backbone) -> dict[str, Tensor]:
        """Return its backbone's weights; the original has timm's names."""
        self.token()  # raises before any weights are read
        return {name: self._take(f"net.model.{name}", shape) for name, shape in _vit_shapes(row).items()}

    def head(self, width: int) -> Head:
        """Return its head; without a projection it is the identity."""
        projection = self._setting("projection_type")
        if projection is None:
            head = Head(width, width, nonlinear=False)
            head.load_state_dict({"cluster1.weight": torch.eye(width), "cluster1.bias": torch.zeros(width)})
            return head.requires_grad_(False)
        if projection not in ("linear", "nonlinear"):
            raise ModelError(f"{self._name} has the projection {projection!r}; supported are linear and nonlinear.")
        code = self._rows("net.cluster1.0.weight", _WIDEST_CODE)
        layers = {"cluster1": ("net.cluster1.0", code)}
        if projection == "nonlinear":
            layers |= {"cluster2.0": ("net.cluster2.0", width), "cluster2.2": ("net.cluster2.2", code)}
        state = {}
        for ours, (theirs, rows) in layers.items():
            state[f"{ours}.weight"] = self._take(f"{theirs}.weight", (rows, width, 1, 1)).flatten(1)
            state[f"{ours}.bias"] = self._take(f"{theirs}.bias", (rows,))
        head = Head(width, code, nonlinear=projection == "nonlinear")
        head.load_state_dict(state)
        return head.requires_grad_(False)

    def probes(self, code: int) -> tuple[ClusterProbe, tuple[Tensor, Tensor] | None]:
        """Return the cluster probe, with the extra clusters, and the linear probe if there is one."""
        clusters = self._rows("cluster_probe.clusters", _MOST_CLASSES)
        if clusters < 2:
            raise ModelError(f"{self._name} has {clusters} cluster; a mask needs 2 or more.")
        cluster = ClusterProbe(F.normalize(self._take("cluster_probe.clusters", (clusters, code)), dim=1))
        if "linear_probe.weight" not in self._tensors:
            return cluster, None
        classes = self._rows("linear_probe.weight", _MOST_CLASSES)
        weight = self._take("linear_probe.weight", (classes, code, 1, 1)).flatten(1)
        return cluster, (weight, self._take("linear_probe.bias", (classes,)))

    def names(self, linear: tuple[Tensor, Tensor] | None) -> ClassTable | None:
        """Return the classes of the data set that its linear probe was trained on, if they are known."""
        table = TABLES.get(_TABLES.get(str(self.config.get("dataset_name")), ""))
        return table if linear and table and len(table.names) == len(linear[1]) else None

    def _setting(self, key: str) -> str | int | float | bool | None:
        if key not in self.config:
            raise ModelError(f"{self._name} lacks {key} in its configuration.")
        return self.config[key]

    def _stored(self, name: str) -> StoredTensor:
        stored = self._tensors.get(name)
        if stored is None:
            raise ModelError(f"{self._name} lacks the tensor {name}.")
        if not isinstance(stored, StoredTensor):
            raise self._archive.damaged(f"{name} is not a tensor")
        return stored

    def _take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self._archive.tensor(self._stored(name), shape, name)

    def _rows(self, name: str, most: int) -> int:
        sizes = self._stored(name).sizes()
        if not sizes or not 1 <= sizes[0] <= most:
            raise ModelError(f"{self._name} has {name} of shape {sizes}; at most {most} rows are supported.")
        return sizes[0]


def _vit_shapes(row: Backbone) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of the weights of a DINO vision transformer."""
    width, tokens = row.width, (_PRETRAINING_SIDE // row.patch) ** 2 + 1
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, width), "pos_embed": (1, tokens, width)}
    shapes |= {"patch_embed.proj.weight": (width, 3, row.patch, row.patch), "patch_embed.proj.bias": (width,)}
    norms = ["norm"]
    for index in range(row.blocks):
        norms += [f"blocks.{index}.norm1", f"blocks.{index}.norm2"]
        for layer, (rows, columns) in layers.items():
            shapes[f"blocks.{index}.{layer}.weight"] = (rows, columns)
            shapes[f"blocks.{index}.{layer}.bias"] = (rows,)
    return shapes | {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}


def _members(thing: object) -> Mapping[Any, Any]:
    """Return a dict, or the content of a record of a dict-like object; empty if it is neither."""
    if isinstance(thing, Record):
        inner = thing.state.get("_content", thing.state)  # OmegaConf keeps its values one level down
        return inner if isinstance(inner, dict) else {}
    return thing if isinstance(thing, dict) else {}


def _plain(config: Mapping[Any, Any]) -> Facts:
    """Return the plain values of a configuration by name, without lists and the like."""
    facts: Facts = {}
    for key, value in config.items():
        plain = value.state.get("_val") if isinstance(value, Record) and "_val" in value.state else value
        finite = not isinstance(plain, float) or math.isfinite(plain)
        short = not isinstance(plain, int | str) or len(f"{plain:x}" if isinstance(plain, int) else plain) <= 500
        if isinstance(key, str) and isinstance(plain, str | int | float | bool | None) and finite and short:
            facts[key] = plain
    return facts


def _refuse_other_run(run: Path, digest: str) -> None:
    """Allow importing the same file again, but do not overwrite another run."""
    if not (run / CONFIG_FILE).exists():
        require_own_run_files(run, overwrite=None)
        return
    try:
        if parse_file(run / CONFIG_FILE, dict)["imported"]["sha256"] == digest:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UsageError(f"{run} already holds another run.", f"Choose another {setting('out')}.")
