"""Make a clip of labelled frames, segment it, and measure how much its labels flicker, plain and steadied.

    python benchmarks/video.py --frames camvid/imgs/val --labels camvid/labels/val --model stego.onnx
    python benchmarks/video.py --frames DIR --kills 3                    a clip of 300 frames, killed and resumed

The frames are those of a folder in the order of their names; they should follow each other closely. Flicker is the
share of pixels whose label changes from one frame to the next although the true label does not. The accuracy is that of
the classes matched to the labels over the whole clip (Hungarian). With `--kills` the run is killed so often, at moments
that are drawn, and resumed; in the end every file has the bytes of a quiet run's.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from stego_cli.doctor.sample_models import colour_model

LENGTH = 300  # frames of the clip that is killed; the folder's are repeated, forwards and back


def main() -> None:
    """Run what was asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=Path, required=True)
    options.add_argument("--labels", type=Path)
    options.add_argument("--model", type=Path)
    options.add_argument("--kills", type=int, default=0)
    options.add_argument("--seed", type=int, default=0)
    chosen, more = options.parse_known_args()
    files = sorted(file for file in chosen.frames.iterdir() if file.suffix in (".jpg", ".png"))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = chosen.model or root / "colours.onnx"
        if not chosen.model:
            model.write_bytes(colour_model())
        words = [str(root / "clip.mp4"), "--model", str(model), *more]
        if chosen.kills:
            there_and_back = [*files, *files[::-1]]
            write_clip(root / "clip.mp4", (there_and_back * (LENGTH // len(there_and_back) + 1))[:LENGTH])
            kill(root, words, chosen.kills, random.Random(chosen.seed))
        else:
            write_clip(root / "clip.mp4", files)
            truth = [label_of(chosen.labels / file.with_suffix(".png").name) for file in files]
            for name, steady in (("plain", []), ("steady", ["--steady"])):
                subprocess.run(command(words, root / name, *steady), check=True)
                masks = [label_of(file) for file in sorted((root / name / "clip").glob("*.png"))]
                print(f"{name}: flicker {flicker(masks, truth):.2%}, accuracy {accuracy(masks, truth):.2%}")


def command(words: list[str], out: Path, *more: str) -> list[str]:
    """Return the command that segments into a folder."""
    return [sys.executable, "-m", "stego_cli", "segment", *words, "--out", str(out), *more]


def write_clip(file: Path, frames: list[Path]) -> None:
    """Write pictures as a video."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=15, options={"crf": "14"})
        for path in frames:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            if not stream.width:
                stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def label_of(file: Path) -> np.ndarray:
    """Return the values of a mask or label."""
    with Image.open(file) as image:
        return np.asarray(image)


def flicker(masks: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Return the share of pixels whose label changes although the true one does not."""
    changed = total = 0
    for (one, two), (label, other) in zip(pairwise(masks), pairwise(truth), strict=True):
        still = (label == other) & (label != 255)
        changed, total = changed + int(((one != two) & still).sum()), total + int(still.sum())
    return changed / total


def accuracy(masks: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Return the share of labelled pixels that are right, classes being matched to labels over all frames."""
    counts = np.zeros((256, 256), np.int64)
    for mask, label in zip(masks, truth, strict=True):
        both = mask[label != 255].astype(np.int64) * 256 + label[label != 255]
        counts += np.bincount(both, minlength=65_536).reshape(256, 256)
    return float(counts[linear_sum_assignment(-counts)].sum() / counts.sum())


def kill(root: Path, words: list[str], kills: int, moments: random.Random) -> None:
    """Kill a run several times, and hold its files against those of a quiet run."""
    clock = time.perf_counter()
    subprocess.run(command(words, root / "quiet"), check=True, stderr=subprocess.DEVNULL)
    lasted = time.perf_counter() - clock
    for number in range(kills):
        process = subprocess.Popen(command(words, root / "killed"), stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0.3, 1) * lasted)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        lines = sum(file.read_bytes().count(b"\n") for file in root.glob("killed/.stego/parts/*/parts.jsonl"))
        print(f"kill {number + 1}: {lines} lines in the journal of the parts", flush=True)
    subprocess.run(command(words, root / "killed"), check=True, stderr=subprocess.DEVNULL)
    quiet, killed = (
        {file.name: file.read_bytes() for file in (root / name / "clip").iterdir()} for name in ("quiet", "killed")
    )
    same = quiet == killed
    print(f"{len(quiet)} files, {'all of' if same else 'NOT'} the quiet run's bytes ({lasted:.0f} s)")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
