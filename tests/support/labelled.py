"""Small photographs and labels, and what `stego prepare folder` made of them."""

from pathlib import Path

import numpy as np

from tests.support import archives

SIZE = (24, 16)
IDS = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 0, 255)], dtype=np.uint8)
PHOTO = {seed: archives.jpeg(SIZE, seed) for seed in range(12)}
PNG = archives.png(IDS)


def photos(tmp_path: Path) -> list[str]:
    """The photographs of the data set, with their split."""
    return sorted(path.relative_to(tmp_path / "out/imgs").as_posix() for path in (tmp_path / "out/imgs").rglob("*.*g"))


def labels(tmp_path: Path) -> dict[str, np.ndarray]:
    """All labels of the data set by name, whatever their split."""
    root = tmp_path / "out/labels"
    return {"/".join(file.relative_to(root).parts[1:]): archives.values(file) for file in root.rglob("*.png")}
