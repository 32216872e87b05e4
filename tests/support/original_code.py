"""What the original's code computes, written anew, and checkpoints of each kind held against it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stego_cli.model.checkpoint import load_checkpoint, segmenter
from stego_cli.model.original import import_checkpoint
from stego_cli.progress import Quiet
from tests.support import original_checkpoint

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def dino(tensors: dict[str, Tensor], image: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Return the features "feat" and "KK", each (B, h, w, C), of `image`, uint8 (B, H, W, 3)."""
    t = {name.removeprefix("net.model."): value for name, value in tensors.items() if name.startswith("net.model.")}

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, t[f"{name}.weight"], t[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], 1e-6)

    patch = t["patch_embed.proj.weight"].shape[-1]
    pixels = ((image / 255 - MEAN) / STD).permute(0, 3, 1, 2)
    x = F.conv2d(pixels, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=patch)
    batch, width, h, w = x.shape
    side = math.isqrt(t["pos_embed"].shape[1] - 1)
    grid = t["pos_embed"][:, 1:].reshape(1, side, side, width).permute(0, 3, 1, 2)
    if (h, w) != (side, side):
        grid = F.interpolate(grid, scale_factor=((h + 0.1) / side, (w + 0.1) / side), mode="bicubic")
    x = torch.cat([(t["cls_token"] + t["pos_embed"][:, :1]).expand(batch, -1, -1), (x + grid).flatten(2).mT], dim=1)
    for block in range(12):
        b = f"blocks.{block}."
        qkv = linear(norm(x, b + "norm1"), b + "attn.qkv")
        q, k, v = qkv.reshape(batch, -1, 3, heads, width // heads).permute(2, 0, 3, 1, 4)  # each (B, heads, N, d)
        attention = (q @ k.mT * (width // heads) ** -0.5).softmax(-1)
        x = x + linear((attention @ v).transpose(1, 2).flatten(2), b + "attn.proj")
        x = x + linear(F.gelu(linear(norm(x, b + "norm2"), b + "mlp.fc1")), b + "mlp.fc2")
    keys = k[:, :, 1:].permute(0, 2, 1, 3).flatten(2)  # heads side by side
    return norm(x, "norm")[:, 1:].reshape(batch, h, w, width), keys.reshape(batch, h, w, width)


def expected(tensors: dict[str, Tensor], features: Tensor, projection: str | None) -> Tensor:
    """Return the code (B, D, h, w) that the original's head makes of features (B, h, w, C)."""
    x = features.permute(0, 3, 1, 2)
    if projection is None:
        return x

    def convolved(x: Tensor, name: str) -> Tensor:
        return F.conv2d(x, tensors[f"net.{name}.weight"], tensors[f"net.{name}.bias"])

    code = convolved(x, "cluster1.0")
    if projection == "nonlinear":
        code = code + convolved(convolved(x, "cluster2.0").relu(), "cluster2.2")
    return code


VARIANTS = {
    "patch 8, extra clusters": (27, {"dino_patch_size": 8, "dim": 100, "extra_clusters": 5}),
    "keys, linear head": (3, {"dino_feat_type": "KK", "projection_type": "linear", "dataset_name": "potsdam"}),
    "keys, patch 8": (15, {"dino_feat_type": "KK", "dino_patch_size": 8, "dim": 90, "extra_clusters": 2}),
    "no head": (27, {"projection_type": None, "dim": 384, "dataset_name": "cityscapes"}),
    "ViT-B": (27, {"model_type": "vit_base", "dim": 90}),
}


def assert_computes_what_the_original_would(variant: str, folder: Path, photos: Path) -> None:
    """Import a checkpoint of that kind into `folder`, and compare codes and probabilities of a photograph."""
    classes, config = VARIANTS[variant]
    tensors = original_checkpoint.make(folder / "x.ckpt", classes, **config)
    import_checkpoint(folder / "x.ckpt", folder / "run")
    checkpoint = load_checkpoint(folder / "run")
    model = segmenter(checkpoint, False, Quiet())
    patch = config.get("dino_patch_size", 16)
    keys = config.get("dino_feat_type") == "KK"
    for height, width in ((5 * patch, 9 * patch), (224, 224)):  # the second is the size of the table of positions
        with Image.open(photos / "cat.jpg") as photo:
            image = torch.from_numpy(np.array(photo.convert("RGB").resize((width, height))))[None]
        with torch.inference_mode():
            features = dino(tensors, image, 12 if config.get("model_type") == "vit_base" else 6)[keys]
            code = expected(tensors, features, config.get("projection_type", "nonlinear"))
            assert torch.allclose(model.code(image), code, atol=1e-4, rtol=1e-4)
            code = F.interpolate(code, (height, width), mode="bilinear", align_corners=False)
            cosine = F.conv2d(F.normalize(code), F.normalize(tensors["cluster_probe.clusters"])[..., None, None])
            linear = F.conv2d(code, tensors["linear_probe.weight"], tensors["linear_probe.bias"])
            cluster_log_probs, linear_log_probs = model(image)
        assert cluster_log_probs.shape[1] == classes + config.get("extra_clusters", 0)
        assert torch.allclose(cluster_log_probs, (2 * cosine).log_softmax(1), atol=1e-4)
        assert torch.allclose(linear_log_probs, linear.log_softmax(1), atol=2e-4)
    names = {"cityscapes": "road", "potsdam": "roads and cars", "cocostuff27": "electronic"}
    name = names[config.get("dataset_name", "cocostuff27")]
    # Of 15 classes in a data set of 27 nobody knows which they are.
    assert checkpoint.linear_names[:1] == ((name,) if classes != 15 else ())
    assert len(checkpoint.linear_names) == len(checkpoint.linear_palette)
