"""Runs of the real backbone under a head that is not trained, in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from stego_cli.images.atomic import sha256
from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import Checkpoint, save_checkpoint
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.model.vit import build
from stego_cli.settings import TrainSettings


def make_run(folder: Path, weights: Path, block: int | None = None) -> Path:
    """Save a checkpoint of the real backbone, up to `block`, with a head and centroids drawn from a seed."""
    vit = build(backbone("focus-vits14"), weights, block)
    torch.manual_seed(0)
    settings = TrainSettings(classes=6, block=vit.block, code=24)
    checkpoint = Checkpoint(
        Head(384, 24),
        ClusterProbe(torch.randn(6, 24), settings.temperature, torch.tensor([0.5] + 5 * [0.1]).log()),
        (0.5, 0.1, 0.1, 0.1, 0.1, 0.1),
        vit.row,
        vit.block,
        "feat",
        sha256(weights),
        224,
        settings,
    )
    save_checkpoint(checkpoint, folder)
    return folder


def picture(photos_folder: Path, name: str, width: int, height: int) -> np.ndarray:
    """Return a photograph in another size, uint8 (1, H, W, 3)."""
    with Image.open(photos_folder / name) as image:
        return np.array(image.convert("RGB").resize((width, height)))[None]
