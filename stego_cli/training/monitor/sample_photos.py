"""A few of the training photographs beside their masks, for the report and TensorBoard.

The masks are made from the cached features, so that the backbone need not run again, and without the CRF.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stego_cli.errors import PhotoError
from stego_cli.images.decode import Rgb, decode
from stego_cli.model.head import Head
from stego_cli.model.probes import ClusterProbe
from stego_cli.palette import palette
from stego_cli.training.features import Features
from stego_cli.training.finished_codes import grid_codes


@dataclass(frozen=True)
class SamplePhoto:
    """A photograph, or a crop of one, to show.

    Attributes:
        path: the photograph's file.
        pixels: uint8 (H, W, 3), RGB.
        features: float32 (h, w, C), those that the head is trained on.
    """

    path: Path
    pixels: Rgb
    features: Tensor

    def jpeg(self) -> bytes:
        """Return the pixels as a JPEG file."""
        stream = io.BytesIO()
        Image.fromarray(self.pixels).save(stream, "JPEG", quality=82)
        return stream.getvalue()


def sample_photos(features: Features, count: int, side: int) -> list[SamplePhoto]:
    """Return up to `count` views, evenly spread; those whose photograph no longer exists are left out.

    Args:
        features: of all views.
        count: at least 1.
        side: shorter side of the whole photograph at the size shown, pixels.
    """
    chosen = np.unique(np.linspace(0, len(features) - 1, min(count, len(features))).round().astype(int))
    samples = []
    for index in chosen.tolist():
        try:
            pixels = _part(decode(features.paths[index], side, 1).pixels, features.shares[index].tolist())
        except PhotoError:
            continue
        samples.append(SamplePhoto(features.paths[index], pixels, features.grid(index)))
    return samples


def _part(pixels: Rgb, share: list[float]) -> Rgb:
    """Return the part of a photograph that a view shows; `share` is left, top, right, bottom, 0 to 1."""
    left, top, right, bottom = share
    height, width = pixels.shape[:2]
    return pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def codes_of(head: Head, features: Tensor) -> Tensor:
    """Return the codes of features (..., C), of unit length: float32 (..., D) on the CPU."""
    with torch.no_grad():
        return F.normalize(head(features.to(next(head.parameters()).device)), dim=-1).cpu()


def predict(sample: SamplePhoto, head: Head, cluster: ClusterProbe, smoothing: float) -> NDArray[np.uint8]:
    """Return the cluster of every pixel, uint8 (H, W): the code upsampled bilinearly, then the cluster probe.

    Args:
        sample: the photograph and its features.
        head: features to codes.
        cluster: on the CPU.
        smoothing: sharpness of the model's `smoothed`.
    """
    with torch.no_grad():
        code = grid_codes(head, sample.features, smoothing).permute(2, 0, 1)[None]  # (1, D, h, w)
        code = F.interpolate(code, size=sample.pixels.shape[:2], mode="bilinear", align_corners=False)
        classes: NDArray[np.uint8] = cluster(code)[0].argmax(0).to(torch.uint8).numpy()
        return classes


def coloured(labels: NDArray[np.uint8], classes: int) -> Rgb:
    """Return a mask in the colours of its classes, uint8 (H, W, 3)."""
    return np.array(palette(classes), dtype=np.uint8)[labels]
