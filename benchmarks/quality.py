"""What a label-free model is worth: cluster mIoU and accuracy beside cosine k-means on the raw features.

    python benchmarks/quality.py DATA --classes 11 [--seeds 3] [--crf] [-- OPTIONS OF stego train ...]

for example `-- --preset paper-cocostuff27-vits8 --backbone focus-vits14`.

DATA has the layout NAME/imgs/{train,val} and NAME/labels/{train,val}. Each seed trains on the photographs of train
(their labels are never read), exports, segments val and scores it: Hungarian matching, 255 ignored. With --crf val is
segmented a second time, with the CRF. The peer is the same k-means on the backbone's features, through the same export
and the same scoring, in the same run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from stego_cli.images.discover import find_photos
from stego_cli.model.checkpoint import load_checkpoint, save_checkpoint
from stego_cli.model.head import Head
from stego_cli.model.vit import build
from stego_cli.model.weights import pull
from stego_cli.progress import Quiet
from stego_cli.stop import Stop
from stego_cli.training.cached import compute_features
from stego_cli.training.context import RunContext
from stego_cli.training.features import FeatureCache
from stego_cli.training.kmeans import cosine_kmeans
from stego_cli.training.views import Cut, survey


def stego(*arguments: object) -> None:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "stego_cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def scored(run: Path, data: Path, classes: int, crf: str) -> tuple[float, float]:
    """Segment with an exported run and "crf" or "no-crf", and score; return mIoU and accuracy in percent."""
    masks, result = run / f"masks-{crf}", run / f"{crf}.json"
    stego("segment", data / "imgs" / "val", "--out", masks, f"--{crf}", "--model", run / "model.onnx")
    options = ["--gt", data / "labels" / "val", "--classes", classes, "--json", result]
    stego("score", "--pred", masks, *options)
    metrics = json.loads(result.read_text())
    return metrics["miou"], metrics["accuracy"]


def raw_features(data: Path, like: Path) -> FeatureCache:
    """Compute the train photographs' features with the backbone of the run `like`."""
    checkpoint = load_checkpoint(like)
    vit = build(checkpoint.backbone, pull(checkpoint.backbone, Quiet()), checkpoint.block, checkpoint.token)
    found = find_photos(data / "imgs" / "train")
    paths = [found.root / photo.path for photo in found.photos]
    cut = Cut(checkpoint.res, vit.row.patch)
    context = RunContext(torch.device("cpu"), like, Quiet(), Stop())
    return compute_features(vit, survey(paths, cut), 2**40, context)


def raw_run(cache: FeatureCache, like: Path, seed: int, classes: int, folder: Path) -> None:
    """Write a checkpoint whose code is the feature itself and whose centroids are those of k-means on features."""
    checkpoint = load_checkpoint(like)
    width = checkpoint.backbone.width
    head = Head(width, width, nonlinear=False)
    with torch.no_grad():
        head.cluster1.weight.copy_(torch.eye(width))
        head.cluster1.bias.zero_()
    generator = torch.Generator().manual_seed(seed)
    centroids = cosine_kmeans(cache.random_tokens(40_000, generator), classes, 10, generator)
    settings = checkpoint.settings.__class__(**{**vars(checkpoint.settings), "code": width})
    values = {**vars(checkpoint), "head": head, "centroids": centroids, "settings": settings}
    folder.mkdir()
    save_checkpoint(checkpoint.__class__(**values), folder)


def main() -> None:
    """Print a row a seed and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--crf", action="store_true", help="score with the CRF too")
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    training = given[end + 1 :]  # for `stego train`
    options = parser.parse_args(given[:end])
    ways = ["no-crf", "crf"] if options.crf else ["no-crf"]
    rows = []  # a seed's, each [way][stego, raw][mIoU, accuracy]
    with tempfile.TemporaryDirectory() as scratch:
        cache = None
        for seed in range(options.seeds):
            run, raw = Path(scratch) / f"run{seed}", Path(scratch) / f"raw{seed}"
            began = time.perf_counter()
            photos = options.data / "imgs" / "train"
            stego("train", photos, "--classes", options.classes, "--out", run, "--seed", seed, *training)
            seconds = time.perf_counter() - began
            cache = cache or raw_features(options.data, run)
            raw_run(cache, run, seed, options.classes, raw)
            for each in (run, raw):
                stego("export-onnx", each, "--out", each / "model.onnx")
            rows.append([[scored(each, options.data, options.classes, way) for each in (run, raw)] for way in ways])
            print(f"seed {seed}, trained in {seconds:.0f} s; mIoU / accuracy")
            for way, ((ours, accuracy), (theirs, raw_accuracy)) in zip(ways, rows[-1], strict=True):
                print(
                    f"  {way}: stego {ours:.1f} / {accuracy:.1f}; "
                    f"k-means on raw features {theirs:.1f} / {raw_accuracy:.1f}",
                    flush=True,
                )
    mean, spread = np.mean(rows, axis=0), np.ptp(rows, axis=0)
    for way, means, ranges in zip(ways, mean, spread, strict=True):
        for name, value, width in zip(("stego", "raw"), means, ranges, strict=True):
            print(f"{name}, {way}: mean {value[0]:.1f} / {value[1]:.1f}, range {width[0]:.1f} / {width[1]:.1f}")


if __name__ == "__main__":
    main()
