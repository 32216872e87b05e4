"""The check that the exported graph computes what the torch model computes, on several shapes and batch sizes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from stego_cli.errors import ModelError, setting
from stego_cli.inference.contract import Parity
from stego_cli.inference.session import LogProbs, Session
from stego_cli.model.segmenter import Segmenter

# Largest difference of a log-probability. Single precision differs by summation order alone; half precision carries
# 11 bits through the blocks of the backbone; eight-bit products are an approximation.
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-2, "int8": 0.5}
# Smallest share of pixels with the same class, on the worst of the shapes. Classes of an untrained head differ by as
# little as rounding, so only the difference counts for exact models.
AGREEMENT = {"int8": 0.8}
_SHAPES = ((1, 8, 11), (2, 5, 4), (3, 1, 9), (1, 23, 31))  # batch, height and width in patches


def check_parity(reference: Segmenter, session: Session, precision: str) -> Parity:
    """Compare the float32 torch model with the exported one.

    Raises:
        ModelError: they differ by more than the tolerance of that precision, or agree on too few pixels.
    """
    patch = reference.backbone.row.patch
    difference, agreement = 0.0, 1.0
    for seed, (batch, rows, columns) in enumerate(_SHAPES):
        image = _picture(batch, rows * patch, columns * patch, seed)
        with torch.inference_mode():
            wanted = [output.numpy() for output in reference(torch.from_numpy(image))]
        for ours, theirs in zip(wanted, _run(session, image), strict=True):
            if ours.shape != theirs.shape or not np.isfinite(theirs).all():
                raise ModelError(f"The export fails at {image.shape}: shape {theirs.shape}, or values not finite.")
            difference = max(difference, float(np.abs(ours - theirs).max()))
            agreement = min(agreement, float((ours.argmax(1) == theirs.argmax(1)).mean()))
    if difference > TOLERANCE[precision]:
        raise ModelError(
            f"The exported model differs from the trained one by {difference:.2g} (at most {TOLERANCE[precision]:.0e} "
            f"for {precision}); nothing was written.",
            "Try another version of torch or onnxruntime"
            + ("." if precision == "fp32" else f", or {setting('precision', 'fp32')}."),
        )
    if agreement < (least := AGREEMENT.get(precision, 0.0)):
        raise ModelError(
            f"The exported model gives only {agreement:.1%} of pixels the class that the trained one gives (at least "
            f"{least:.0%} for {precision}); nothing was written.",
            f"Use {setting('precision', 'fp32')}.",
        )
    return Parity(difference, agreement)


def _run(session: Session, image: NDArray[np.uint8]) -> list[LogProbs]:
    try:
        return session.run(image)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"The exported model does not run on a batch of shape {image.shape}: {reason}") from error


def _picture(batch: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Return blobs of colour with noise: uint8 (batch, height, width, 3), the same for the same seed."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width][:, None, :, :, None] / 60.0
    waves = np.sin(x + generator.uniform(0, 6, (batch, 1, 1, 3))) + np.cos(
        y + generator.uniform(0, 6, (batch, 1, 1, 3))
    )
    noise = generator.normal(0, 12, (batch, height, width, 3))
    picture: NDArray[np.uint8] = np.clip(128 + 55 * waves + noise, 0, 255).astype(np.uint8)
    return picture
