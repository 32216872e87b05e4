"""Training's speed beside the original's scheme, and the cost of finding neighbours.

    python benchmarks/train.py [--photos FOLDER] [--steps 5] [--neighbours 500000]

A step of `stego train` (batch 32, features cached) against a step as the original does it, in the same run, on the
same photographs at 224 x 224: the backbone over the batch and over its neighbours, then the head and the loss. Both
have the same loss, head and optimiser; decoding is left out of both. Then the exact neighbours of that many random
vectors of width 384.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch

from stego_cli.images.discover import find_photos
from stego_cli.model.backbones import backbone
from stego_cli.model.vit import FrozenViT, build
from stego_cli.model.weights import pull
from stego_cli.progress import Quiet
from stego_cli.settings import DEFAULT_BACKBONE, TrainSettings
from stego_cli.stop import Stop
from stego_cli.training.cached import compute_features
from stego_cli.training.calibration import whitening
from stego_cli.training.context import RunContext
from stego_cli.training.device import torch_device
from stego_cli.training.features import FeatureCache
from stego_cli.training.fit import Fit
from stego_cli.training.neighbours import nearest_neighbours
from stego_cli.training.presets import preset_settings
from stego_cli.training.views import Cut, pixels_of, survey, views_of

RES = 224


def cached(vit: FrozenViT, paths: list[Path], cut: Cut, device: torch.device) -> FeatureCache:
    """Compute all features once."""
    with tempfile.TemporaryDirectory() as scratch:
        return compute_features(vit, survey(paths, cut), 2**40, RunContext(device, Path(scratch), Quiet(), Stop()))


def steps_of(fit: Fit, count: int, before: list[float]) -> list[float]:
    """Time `count` steps after a first one, in seconds; `before` adds what each took before it could begin."""
    seconds = []
    steps = fit.run(lambda: False)
    next(steps)
    for index in range(count):
        began = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - began + (before[index] if before else 0.0))
    return seconds


def two_passes(vit: FrozenViT, pixels: torch.Tensor, device: torch.device, count: int) -> list[float]:
    """Time what the original's step adds: the backbone over a batch and over the neighbours of it, 32 squares each."""
    seconds = []
    for _ in range(count):
        began = time.perf_counter()
        with torch.inference_mode():
            for _ in range(2):
                vit(pixels.to(device))
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return seconds


def compare(photos: Path, count: int, device: torch.device) -> None:
    """Print the time of a step of both schemes."""
    found = find_photos(photos)
    paths = [found.root / photo.path for photo in found.photos]
    paths = (paths * (-(-64 // len(paths))))[: max(64, len(paths))]  # at least two batches
    row = backbone(DEFAULT_BACKBONE)
    vit = build(row, pull(row, Quiet()))
    cut = Cut(RES, row.patch, square=True)
    features = cached(vit, paths, cut, device)
    near = nearest_neighbours(features.pooled, 7)
    auto = TrainSettings(steps=count + 1)
    space = whitening(features.random_tokens(20_000, torch.Generator().manual_seed(0)), auto.whiten)
    ours = steps_of(Fit(features, near, space, auto, device), count, [])
    squares = []
    for index, path in enumerate(paths[:32]):
        views = views_of(index, path, cut)
        pixels = views if isinstance(views, str) else pixels_of(views, cut)
        if not isinstance(pixels, str):
            squares.append(torch.from_numpy(pixels[0].copy()))
    passes = two_passes(vit, torch.stack(squares), device, count)
    paper = preset_settings("paper-cocostuff27-vits8", steps=count + 1, batch=32)
    theirs = steps_of(Fit(features, near, None, paper, device), count, passes)
    fast, slow = statistics.median(ours), statistics.median(theirs)
    print(f"a step on {device}, batch 32 at {RES}, median of {count}:")
    print(f"  cached features: {fast:.3f} s")
    print(f"  the original's scheme: {slow:.3f} s, of which {statistics.median(passes):.3f} s in the backbone")
    print(f"  ratio: {slow / fast:.1f}")


def neighbours(total: int, device: torch.device) -> None:
    """Print what finding neighbours takes."""
    pooled = torch.randn(total, 384, generator=torch.Generator().manual_seed(0))
    began = time.perf_counter()
    nearest_neighbours(pooled, 7, device=device)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"7 neighbours of {total} x 384 on {device}: {seconds:.0f} s; peak memory of this process {peak:.2f} GB")


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "tests" / "photos")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--neighbours", type=int, default=500_000)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = torch_device(options.device)
    if options.steps:
        compare(options.photos, options.steps, device)
    if options.neighbours:
        neighbours(options.neighbours, device)


if __name__ == "__main__":
    main()
