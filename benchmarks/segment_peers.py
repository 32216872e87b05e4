"""What `stego segment` is held against: the same weights in plain PyTorch with pydensecrf. See segment.py.

    python benchmarks/segment_peers.py plain RUN PHOTOS MASKS [--flip] [--crf] [--limit N]
    python benchmarks/segment_peers.py pool RUN PHOTOS MASKS ...

plain is the loop of the original's demonstration: one photograph after the other through decoding, the network, the
CRF and the mask's encoding. pool is what a careful user makes of it: a DataLoader decodes ahead, and a pool of
processes refines and writes. Prints the seconds of the loop: no imports, no loading of weights, no start of processes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections import deque
from multiprocessing.pool import AsyncResult
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from stego_cli.images.decode import work_size
from stego_cli.images.discover import find_photos
from stego_cli.images.masks import encode_mask, labels_at
from stego_cli.machine import cores
from stego_cli.model.checkpoint import load_checkpoint, segmenter
from stego_cli.palette import palette
from stego_cli.progress import Quiet


class Photographs(Dataset[tuple[np.ndarray, tuple[int, int], str]]):
    """Pixels at work size, uint8 (H, W, 3), the photograph's own size, and its mask's name."""

    def __init__(self, folder: Path, limit: int | None, res: int, patch: int) -> None:
        found = find_photos(folder)
        self.root, self.photos, self.res, self.patch = found.root, found.photos[:limit], res, patch

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, tuple[int, int], str]:
        photo = self.photos[index]
        with Image.open(self.root / photo.path) as image:
            rgb = image.convert("RGB")
        resized = rgb.resize(work_size(*rgb.size, self.res, self.patch), Image.Resampling.BILINEAR)
        return np.array(resized), rgb.size, photo.mask


def refined(pixels: np.ndarray, log_probs: np.ndarray) -> np.ndarray:
    """Return pydensecrf's probabilities, float32 (K, H, W), with the published evaluation's settings."""
    from pydensecrf import densecrf

    classes, height, width = log_probs.shape
    field = densecrf.DenseCRF2D(width, height, classes)
    field.setUnaryEnergy(np.ascontiguousarray(-log_probs.reshape(classes, -1)))
    field.addPairwiseGaussian(sxy=1, compat=3)
    field.addPairwiseBilateral(sxy=67, srgb=3, rgbim=np.ascontiguousarray(pixels[:, :, ::-1]), compat=4)
    return np.array(field.inference(10)).reshape(log_probs.shape)


def finish(pixels: np.ndarray, log_probs: np.ndarray, size: tuple[int, int], mask: Path, crf: bool) -> None:
    """Refine, enlarge and write one mask, at the photograph's own size as `stego segment` does."""
    if crf:
        log_probs = np.log(np.maximum(refined(pixels, log_probs), 1e-30))
    mask.parent.mkdir(parents=True, exist_ok=True)
    mask.write_bytes(encode_mask(labels_at(log_probs, size), palette(len(log_probs))))


def main() -> None:
    """Segment a folder the one way or the other."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("way", choices=["plain", "pool"])
    for name in ("run", "photos", "masks"):
        options.add_argument(name, type=Path)
    options.add_argument("--flip", action="store_true")
    options.add_argument("--crf", action="store_true")
    options.add_argument("--limit", type=int)
    chosen = options.parse_args()
    checkpoint = load_checkpoint(chosen.run)
    model = segmenter(checkpoint, chosen.flip, Quiet())
    torch.set_num_threads(cores())
    photographs = Photographs(chosen.photos, chosen.limit, checkpoint.res, checkpoint.backbone.patch)
    with torch.inference_mode():
        model(torch.zeros(1, 4 * checkpoint.backbone.patch, 4 * checkpoint.backbone.patch, 3, dtype=torch.uint8))
        print((plain if chosen.way == "plain" else pool)(model, photographs, chosen.masks, chosen.crf))


def plain(model: torch.nn.Module, photographs: Photographs, masks: Path, crf: bool) -> float:
    """Return the seconds of the plain loop."""
    began = time.perf_counter()
    for index in range(len(photographs)):
        pixels, size, mask = photographs[index]
        log_probs = model(torch.from_numpy(pixels)[None])[0][0].numpy()
        finish(pixels, log_probs, size, masks / mask, crf)
    return time.perf_counter() - began


def pool(model: torch.nn.Module, photographs: Photographs, masks: Path, crf: bool) -> float:
    """Return the seconds with decoding ahead and a pool of processes behind, at most two photographs a process."""
    loader = DataLoader(
        photographs, batch_size=None, num_workers=cores(), multiprocessing_context="fork", persistent_workers=True
    )
    with multiprocessing.get_context("spawn").Pool(cores()) as finishers:
        finishers.map(abs, range(cores()))  # until they run
        began = time.perf_counter()
        waiting: deque[AsyncResult[None]] = deque()
        for pixels, size, mask in loader:
            log_probs = model(pixels[None])[0][0].numpy()
            task = (pixels.numpy(), log_probs, tuple(map(int, size)), masks / mask, crf)
            waiting.append(finishers.apply_async(finish, task))
            if len(waiting) > 2 * cores():
                waiting.popleft().get()
        for result in waiting:
            result.get()
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
