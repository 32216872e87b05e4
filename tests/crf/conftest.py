"""Photographs with probabilities like those of a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Scene = Callable[..., tuple[NDArray[np.uint8], NDArray[np.float32]]]


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Return a function that gives a small photograph, uint8 (H, W, 3), and log-probabilities, float32 (K, H, W).

    They are log softmax of `sharpness` times smooth random codes between -1 and 1, as cosines are: with 2 the likeliest
    of 27 classes has about 0.1, with 20 about 0.6.
    """

    def make(
        photo: str, height: int, width: int, sharpness: float, classes: int = 27
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        with Image.open(Path(__file__).parents[1] / "photos" / f"{photo}.jpg") as opened:
            image = np.array(opened.convert("RGB").resize((width, height)))
        coarse = np.random.default_rng(0).normal(size=(classes, height // 16 + 2, width // 16 + 2)).astype(np.float32)
        codes = np.stack(
            [Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR) for plane in coarse]
        )
        scores = sharpness * codes / np.abs(codes).max()
        return image, scores - np.log(np.exp(scores).sum(0))

    return make
