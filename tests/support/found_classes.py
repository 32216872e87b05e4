"""What a person sees first in the classes discovered in tests/photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def _labels(mask: Path) -> np.ndarray:
    with Image.open(mask) as image:
        return np.asarray(image)


def assert_classes_recur(masks: Path) -> None:
    """Three classes or more have a share of two photographs or more."""
    where: dict[int, int] = {}
    for path in masks.glob("*.png"):
        labels = _labels(path)
        for index in np.flatnonzero(np.bincount(labels.ravel()) > 0.02 * labels.size):
            where[int(index)] = where.get(int(index), 0) + 1
    assert sum(photographs >= 2 for photographs in where.values()) >= 3


def assert_sky_is_one_class(masks: Path) -> None:
    """The tops of three landscapes share a class that their bottoms do not have."""

    def most(rows: slice, name: str) -> int:
        return int(np.bincount(_labels(masks / f"{name}.png")[rows].ravel()).argmax())

    tops = {most(slice(0, 20), name) for name in ("lake", "home", "harbour")}
    bottoms = {most(slice(-20, None), name) for name in ("lake", "home", "harbour")}
    assert len(tops) == 1
    assert not tops & bottoms
