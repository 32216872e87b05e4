"""Makes checkpoints with the layout of the original STEGO's, their weights drawn from a seed.

Each tensor is drawn from a generator of its own, seeded by its name, so the figures in tests/golden belong to
the default one on every machine. The configuration is pickled under the names of OmegaConf's classes by stand-ins, so
that no test needs OmegaConf itself.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

SEED = 975
PUBLISHED = {
    "arch": "dino",
    "model_type": "vit_small",
    "dino_patch_size": 16,
    "dino_feat_type": "feat",
    "projection_type": "nonlinear",
    "continuous": True,
    "dim": 70,
    "dropout": True,
    "dataset_name": "cocostuff27",
    "extra_clusters": 0,
    "pretrained_weights": None,
    "granularity": 1,
    "res": 224,
}


def shapes(config: dict[str, Any], classes: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of all tensors of a checkpoint with that configuration."""
    width = {"vit_small": 384, "vit_base": 768}[config["model_type"]]
    patch, code = config["dino_patch_size"], config["dim"]
    vit: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, (224 // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
    }
    linear = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    for block in range(12):
        for layer, (rows, columns) in linear.items():
            vit[f"blocks.{block}.{layer}.weight"] = (rows * width, columns * width)
            vit[f"blocks.{block}.{layer}.bias"] = (rows * width,)
    for norm in ["norm", *(f"blocks.{block}.norm{number}" for block in range(12) for number in (1, 2))]:
        vit |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    result = {f"net.model.{name}": shape for name, shape in vit.items()}
    convolutions = {"net.cluster1.0": (code, width), "linear_probe": (classes, code), "decoder": (width, code)}
    if config["projection_type"] == "nonlinear":
        convolutions |= {"net.cluster2.0": (width, width), "net.cluster2.2": (code, width)}
    for name, (rows, columns) in convolutions.items():
        result |= {f"{name}.weight": (rows, columns, 1, 1), f"{name}.bias": (rows,)}
    result["train_cluster_probe.clusters"] = (classes, code)
    result["cluster_probe.clusters"] = (classes + config["extra_clusters"], code)
    return result


def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Return the tensor of that name: noise of a size that keeps activations in bounds, smooth for positions."""
    generator = np.random.RandomState((SEED + sum(map(ord, name))) % 2**31)
    noise = torch.from_numpy(generator.standard_normal(shape).astype(np.float32))
    if "norm" in name:
        return 1 + 0.05 * noise if name.endswith("weight") else 0.05 * noise
    if name.endswith("pos_embed"):
        side = math.isqrt(shape[1] - 1)
        coarse = torch.from_numpy(generator.standard_normal((1, 5, 5, shape[2])).astype(np.float32))
        smooth = F.interpolate(coarse.permute(0, 3, 1, 2), size=(side, side), mode="bicubic")
        return torch.cat([0.2 * noise[:, :1], 0.3 * smooth.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
    if len(shape) > 1 and "clusters" not in name:
        return (noise.double() / math.sqrt(math.prod(shape[1:]))).float()
    return 0.02 * noise if name.endswith("bias") else noise


def state_dict(classes: int = 27, **config: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint."""
    wanted = shapes(PUBLISHED | config, classes)
    return {name: drawn(name, wanted[name]) for name in sorted(wanted)}


def save(file: Path, tensors: dict[str, torch.Tensor], classes: int = 27, **config: Any) -> None:
    """Write a checkpoint as Lightning does, with what a training leaves beside the weights."""
    names = {"DictConfig": "omegaconf.dictconfig", "AnyNode": "omegaconf.nodes", "ContainerMetadata": "omegaconf.base"}
    modules = {name: ModuleType(name) for name in ["omegaconf", *names.values()]}
    classes_of = {name: type(name, (), {"__module__": module}) for name, module in names.items()}
    for name, module in names.items():
        setattr(modules[module], name, classes_of[name])

    def instance(name: str, **state: Any) -> Any:
        made = classes_of[name]()
        made.__dict__.update(state)
        return made

    about = instance("ContainerMetadata", ref_type=Any, object_type=dict, flags={}, resolver_cache=defaultdict(dict))
    root = instance("DictConfig", _metadata=about, _parent=None)
    root._content = {
        key: instance("AnyNode", _metadata=about, _parent=root, _val=value)
        for key, value in (PUBLISHED | config).items()
    }
    optimiser = {"state": {0: {"exp_avg": torch.zeros(3), "step": 400}}, "param_groups": [{"lr": 5e-4, "params": [0]}]}
    content = {
        "epoch": 1,
        "global_step": 400,
        "pytorch-lightning_version": "1.8.4",
        "state_dict": tensors,
        "optimizer_states": [optimiser],
        "hyper_parameters": {"n_classes": classes, "cfg": root},
    }
    with mock.patch.dict(sys.modules, modules):
        torch.save(content, file)


def make(file: Path, classes: int = 27, **config: Any) -> dict[str, torch.Tensor]:
    """Write a checkpoint and return its tensors."""
    tensors = state_dict(classes, **config)
    save(file, tensors, classes, **config)
    return tensors
