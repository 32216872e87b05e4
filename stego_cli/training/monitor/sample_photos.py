"""A few of the training photographs beside their masks, for the report and TensorBoard.

Masks come from the cached features, so that no backbone runs again, and without the CRF.
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
from stego_cli.model.probes import cluster_log_probs
from stego_cli.palette import palette
from stego_cli.training.features import Features


@dataclass(frozen=True)
class SamplePhoto:
    """A photograph as it is shown.

    Attributes:
        path: where it lies.
        pixels: uint8 (H, W, 3), RGB.
        features: float32 (h, w, C), as training saw them.
    """

    path: Path
    pixels: Rgb
    features: Tensor

    def jpeg(self) -> bytes:
        """Return the pixels as a file."""
        stream = io.BytesIO()
        Image.fromarray(self.pixels).save(stream, "JPEG", quality=82)
        return stream.getvalue()


def sample_photos(cache: Features, count: int, side: int) -> list[SamplePhoto]:
    """Return up to `count` photographs, evenly spread over the cache's order; those that have gone are left out.

    Args:
        cache: of all photographs.
        count: at least 1.
        side: shorter side of their pixels.
    """
    chosen = np.unique(np.linspace(0, len(cache) - 1, min(count, len(cache))).round().astype(int))
    samples = []
    for index in chosen.tolist():
        try:
            pixels = _shown(decode(cache.paths[index], side, 1).pixels, cache.shares[index].tolist())
        except PhotoError:
            continue
        samples.append(SamplePhoto(cache.paths[index], pixels, cache.grid(index)))
    return samples


def _shown(pixels: Rgb, share: list[float]) -> Rgb:
    """Return the part of a photograph that a view shows."""
    left, top, right, bottom = share
    height, width = pixels.shape[:2]
    return pixels[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def codes_of(head: Head, features: Tensor) -> Tensor:
    """Return the codes of features (..., C), unit length, float32 (..., D) on the CPU, wherever the head is."""
    with torch.no_grad():
        return F.normalize(head(features.to(next(head.parameters()).device)), dim=-1).cpu()


def predict(sample: SamplePhoto, head: Head, centroids: Tensor) -> NDArray[np.uint8]:
    """Return the cluster of every pixel, uint8 (H, W): the code upsampled bilinearly, then the cluster probe.

    Args:
        sample: of C features a patch.
        head: C features to D.
        centroids: (K, D), on the CPU.
    """
    with torch.no_grad():
        code = head(sample.features.to(next(head.parameters()).device)).cpu().permute(2, 0, 1)[None]  # (1, D, h, w)
        code = F.interpolate(code, size=sample.pixels.shape[:2], mode="bilinear", align_corners=False)
        return cluster_log_probs(code, centroids)[0].argmax(0).to(torch.uint8).numpy()


def coloured(labels: NDArray[np.uint8], classes: int) -> Rgb:
    """Return a mask in the colours of its classes, uint8 (H, W, 3)."""
    return np.array(palette(classes), dtype=np.uint8)[labels]
