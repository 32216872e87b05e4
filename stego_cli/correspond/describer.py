"""A backbone, alone or with a trained head, that describes the patches of photographs.

F is the correspondence of the backbone's features, not whitened; S is that of the head's codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stego_cli.images.decode import Rgb
from stego_cli.model.backbones import backbone
from stego_cli.model.checkpoint import load_checkpoint, segmenter
from stego_cli.model.head import Head
from stego_cli.model.vit import FrozenViT, build
from stego_cli.model.weights import pull
from stego_cli.progress import Progress
from stego_cli.settings import DEFAULT_RES
from stego_cli.text import shown


@dataclass(frozen=True)
class Describer:
    """Describes patches by features and, with a head, by codes.

    Attributes:
        backbone: pixels to features, on `device`.
        head: features to codes, on `device`; None without a run.
        res: shorter side at which photographs are described, pixels.
        device: where it computes.
        names: by kind ("F" and, with a head, "S"), for the user: which backbone or run it is of.
    """

    backbone: FrozenViT
    head: Head | None
    res: int
    device: torch.device
    names: dict[str, str]

    def describe(self, pixels: Rgb) -> dict[str, Tensor]:
        """Return "F": features (h, w, C) and, with a head, "S": codes (h, w, D), float32 on the CPU.

        Args:
            pixels: uint8 (H, W, 3), H and W multiples of the patch.
        """
        with torch.inference_mode():
            features = self.backbone(torch.from_numpy(pixels.copy())[None].to(self.device))
            found = {"F": features} | ({"S": self.head(features)} if self.head is not None else {})
            return {kind: values[0].float().cpu() for kind, values in found.items()}


def open_describer(
    run: Path | None, backbone_name: str, res: int | None, device: torch.device, progress: Progress
) -> Describer:
    """Open a run, or a backbone alone.

    Args:
        run: a run folder; None: the backbone alone.
        backbone_name: of the backbone, if there is no run.
        res: shorter side, pixels; None: the run's own, or 320.
        device: where to compute.
        progress: shows the download of weights.

    Raises:
        UsageError: there is no such run or backbone.
        ModelError: the run is damaged.
        WeightsError: the weights cannot be fetched.
    """
    if run is None:
        row = backbone(backbone_name)
        vit = build(row, pull(row, progress))
        names = {"F": f"features of {row.name}, block {vit.block}"}
        return Describer(vit.to(device), None, res or DEFAULT_RES, device, names)
    checkpoint = load_checkpoint(run)
    model = segmenter(checkpoint, flip=False, progress=progress).to(device)
    names = {
        "F": f"features of {checkpoint.backbone.name}, block {model.backbone.block}",
        "S": f"codes of {shown(run.name or run.absolute().name)}",
    }
    return Describer(model.backbone, model.head, res or checkpoint.res, device, names)
