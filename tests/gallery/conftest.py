"""Folders of masks as `stego segment` leaves them, made in milliseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stego_cli.images.discover import with_masks
from stego_cli.images.journal import Entry
from stego_cli.images.masks import encode_mask, encode_overlay
from stego_cli.palette import palette
from stego_cli.progress import Quiet
from stego_cli.tasks.segment import segment
from tests.support.models import coded_graph
from tests.support.stripes import CENTROIDS, PICTURES, again, stripes

FOUND = 6
MakeMasks = Callable[..., Path]


def blobs(seed: int, height: int, width: int, found: int = FOUND) -> np.ndarray:
    """Return labels, uint8 (H, W), of a few rectangles."""
    generator = np.random.default_rng(seed)
    labels = np.full((height, width), seed % found, np.uint8)
    for _ in range(8):
        top, left = generator.integers(0, height), generator.integers(0, width)
        labels[top : top + height // 2, left : left + width // 2] = generator.integers(0, found)
    return labels


@pytest.fixture
def make_masks(tmp_path: Path) -> MakeMasks:
    """`make_masks(names)`: photographs, their masks and the journal; returns MASKS, with PHOTOS beside it."""

    def make(names: list[str], found: int = FOUND, overlay: bool = False, size: tuple[int, int] = (40, 60)) -> Path:
        photos, masks = tmp_path / "photos", tmp_path / "masks"
        state = masks / ".stego"
        state.mkdir(parents=True)
        lines = []
        for seed, photo in enumerate(with_masks(names)):
            labels = blobs(seed, *size, found)
            colours = np.array(palette(found), np.uint8)
            noise = np.random.default_rng(seed).integers(0, 20, (*size, 3), np.uint8)
            file = photos / photo.path
            file.parent.mkdir(parents=True, exist_ok=True)
            rgb = Image.fromarray(colours[labels] // 2 + noise)
            rgb.save(file)
            content = encode_mask(labels, palette(found))
            mask = masks / photo.mask
            mask.parent.mkdir(parents=True, exist_ok=True)
            mask.write_bytes(content)
            if overlay:
                (masks / photo.mask.replace(".png", ".overlay.jpg")).write_bytes(
                    encode_overlay(rgb, labels, palette(found))
                )
            about = file.stat()
            counts = np.bincount(labels.ravel())
            entry = Entry(
                photo.path,
                "done",
                about.st_size,
                about.st_mtime_ns,
                photo.mask,
                hashlib.sha256(content).hexdigest(),
                pixels={int(value): int(counts[value]) for value in counts.nonzero()[0]},
            )
            lines.append(entry.line() + "\n")
        (state / "journal.jsonl").write_text("".join(lines))
        about_run = {"stego_version": "0", "photos": str(photos), "identity": {"model": "x"}}
        (state / "run.json").write_text(json.dumps(about_run))
        return masks

    return make


@pytest.fixture
def coded_model() -> bytes:
    """A model whose codes are colours: red, green and blue are its classes."""
    return coded_graph(CENTROIDS).SerializeToString()


@pytest.fixture
def coded_masks(tmp_path: Path, coded_model: bytes) -> Path:
    """Masks whose model was discovered for them, as `stego segment` leaves them."""
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for name, colours in PICTURES.items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(stripes(colours)).save(photos / name)
    (masks / ".stego").mkdir(parents=True)
    (masks / ".stego" / "model.onnx").write_bytes(coded_model)
    segment(again(masks), Quiet())
    return masks
