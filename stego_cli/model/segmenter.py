"""The whole model as one module, from bytes to log-probabilities: the module that is exported."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe, linear_log_probs
from stego_cli.model.smoothing import smoothed
from stego_cli.model.vit import FrozenViT


class Segmenter(nn.Module):
    """Backbone, head, upsampled code and probes.

    Args:
        backbone: the frozen backbone.
        head: the trained head.
        cluster: the cluster probe.
        linear: weight (C, D) and bias (C,) of a linear probe, if labels trained one.
        flip: average the code with the mirrored code of the mirrored photograph.
        smoothing: sharpness of `smoothed`; 0: codes stay as they are.
    """

    def __init__(
        self,
        backbone: FrozenViT,
        head: Head,
        cluster: ClusterProbe,
        linear: tuple[Tensor, Tensor] | None = None,
        flip: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.cluster = backbone, head, cluster
        self.flip, self.smoothing = flip, smoothing
        self.linear_weight: Tensor
        self.linear_bias: Tensor
        self.has_linear = linear is not None
        if linear is not None:
            self.register_buffer("linear_weight", linear[0])
            self.register_buffer("linear_bias", linear[1])
        self.requires_grad_(False)
        self.eval()

    def code(self, image: Tensor) -> Tensor:
        """Return the code (B, D, H/patch, W/patch), float32, of `image`, uint8 (B, H, W, 3)."""
        code: Tensor = self.head(self.backbone(image))  # (B, h, w, D)
        if self.flip:
            mirrored: Tensor = self.head(self.backbone(torch.flip(image, dims=[2])))
            code = (code + torch.flip(mirrored, dims=[2])) / 2
        return smoothed(code.float(), self.smoothing).permute(0, 3, 1, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return log-probabilities, float32: of the cluster probe (B, K, H, W), then of a linear one (B, C, H, W).

        The code is upsampled bilinearly to the pixels of `image` before the probes, as in the paper's evaluation.
        """
        code = self.code(image)
        patch = self.backbone.row.patch
        size = (code.shape[2] * patch, code.shape[3] * patch)
        code = F.interpolate(code, size=size, mode="bilinear", align_corners=False)
        outputs: tuple[Tensor, ...] = (self.cluster(code),)
        if self.has_linear:
            outputs += (linear_log_probs(code, self.linear_weight, self.linear_bias),)
        return outputs
