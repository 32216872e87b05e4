"""Time `stego prepare voc2012` against copying the same files, in turn in the same run.

    python benchmarks/prepare.py                   17,125 photographs and 2,913 labels, three runs of each
    python benchmarks/prepare.py --photos 2000 --runs 5

The archive has the names, sizes and layout of VOCtrainval_11-May-2012.tar: photographs of about 500 x 375 pixels and
100 kB, palette labels with void borders, lists of 1,464 and 1,449. A few dozen different pictures are made, and every
file gets bytes of its own at its end, so that no two are equal. The peer copies the unpacked photographs and labels
with shutil.copyfile, one after the other; beside it stand `cp -r`, and `tar -x` of the whole archive. `stego prepare`
is timed as a user meets it, from the start of the command to its end, from the archive and from the unpacked folder.
All write to the same disk; before each run the disk is given time to settle (sync).
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.classes import TABLES

DIFFERENT = 40
TRAIN, VAL = 1464, 1449  # of VOC 2012
ALL = 17_125
ROOT = "VOCdevkit/VOC2012"


def main() -> None:
    """Make the archive, time all ways in turn, and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=int, default=ALL)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--scratch", type=Path, help="folder on the disk to measure")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        folder = Path(scratch)
        make_tree(folder / "tree", chosen.photos)
        make_tar(folder / "tree", folder / "voc.tar")
        compare(folder, chosen.runs)
        small = folder / "small"
        make_tree(small / "tree", max(100, chosen.photos // 10))
        make_tar(small / "tree", small / "voc.tar")
        few, many = (
            peak_memory(prepare(where / "voc.tar", folder / "out"), folder / "out") for where in (small, folder)
        )
        print(f"peak memory: {few:.0f} MB on a tenth of the photographs, {many:.0f} MB on all")


def compare(folder: Path, runs: int) -> None:
    """Time all ways in turn."""
    tree, tar, out = folder / "tree", folder / "voc.tar", folder / "out"
    ways: dict[str, Callable[[], object]] = {
        "copyfile": lambda: copy(tree, out),
        "cp -r": lambda: run(["cp", "-r", str(tree), str(out)]),
        "tar -x": lambda: (out.mkdir(), run(["tar", "-xf", str(tar), "-C", str(out)])),
        "stego prepare TAR": lambda: run(prepare(tar, out)),
        "stego prepare FOLDER": lambda: run(prepare(tree, out)),
        "stego prepare FOLDER --link": lambda: run([*prepare(tree, out), "--link"]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            shutil.rmtree(out, ignore_errors=True)
            os.sync()
            began, before = time.perf_counter(), os.times()
            way()
            seconds[name].append(time.perf_counter() - began)
            busy[name].append(sum(os.times()[:4]) - sum(before[:4]))
    for name, those in seconds.items():
        ratios = [copied / own for copied, own in zip(seconds["copyfile"], those, strict=True)]
        print(
            f"{name:28} {min(those):6.2f} / {statistics.median(those):6.2f} / {max(those):6.2f} s, "
            f"{statistics.median(busy[name]):6.2f} processor s; speed of copyfile's: "
            f"{min(ratios):.2f} / {statistics.median(ratios):.2f} / {max(ratios):.2f} (min / median / max)"
        )


def prepare(source: Path, out: Path) -> list[str]:
    """Return the command line."""
    words = ["prepare", "voc2012", "--source", str(source), "--out", str(out), "--unlabelled"]
    return [sys.executable, "-m", "stego_cli", *words]


def run(words: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(words, check=True, capture_output=True)


def copy(tree: Path, out: Path) -> None:
    """Copy all photographs and labels, one after the other."""
    for kind in ("JPEGImages", "SegmentationClass"):
        (out / kind).mkdir(parents=True)
        for file in sorted((tree / ROOT / kind).iterdir()):
            shutil.copyfile(file, out / kind / file.name)


def make_tree(tree: Path, photos: int) -> None:
    """Write the unpacked data set."""
    random = np.random.default_rng(0)
    for kind in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tree / ROOT / kind).mkdir(parents=True)
    pictures = [photograph(random) for _ in range(DIFFERENT)]
    labels = [label(random) for _ in range(DIFFERENT)]
    names = [f"{2007 + index % 6}_{index:06d}" for index in range(photos)]
    train, val = (round(count * photos / ALL) for count in (TRAIN, VAL))
    for split, those in (("train", names[:train]), ("val", names[train : train + val])):
        (tree / ROOT / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{name}\n" for name in those))
    for index, name in enumerate(names):
        own = index.to_bytes(8, "big")  # after a picture's end, where decoders do not look
        (tree / ROOT / f"JPEGImages/{name}.jpg").write_bytes(pictures[index % DIFFERENT] + own)
        if index < train + val:
            (tree / ROOT / f"SegmentationClass/{name}.png").write_bytes(labels[index % DIFFERENT] + own)


def make_tar(tree: Path, target: Path) -> None:
    """Pack it as the official host does: a plain tar."""
    with tarfile.open(target, "w") as tar:
        tar.add(tree / "VOCdevkit", "VOCdevkit")


def photograph(random: np.random.Generator) -> bytes:
    """Return a JPEG of 500 x 375 and about 100 kB: soft areas under noise."""
    areas = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (500, 375), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(areas).astype(np.int16) + random.integers(-22, 23, (375, 500, 1), dtype=np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
    return stream.getvalue()


def label(random: np.random.Generator) -> bytes:
    """Return a palette PNG of a few shapes with void borders, in VOC's colours."""
    ids = np.zeros((375, 500), dtype=np.uint8)
    rows, columns = np.mgrid[:375, :500]
    for _ in range(3):
        y, x, radius = random.integers(40, 335), random.integers(40, 460), random.integers(20, 120)
        distance = np.hypot(rows - y, columns - x) + 6 * np.sin(np.arctan2(rows - y, columns - x) * 9)
        ids[distance < radius + 4] = 255
        ids[distance < radius] = random.integers(1, 21)
    image, stream = Image.fromarray(ids), io.BytesIO()
    own = [channel for colour in TABLES["voc2012"].colours for channel in colour]
    image.putpalette(own + [0] * (765 - len(own)) + [224, 224, 192])
    image.save(stream, "PNG")
    return stream.getvalue()


def peak_memory(words: list[str], out: Path) -> float:
    """Return the largest resident memory of a command, in MB; NaN but on Linux."""
    if not Path("/proc/self/statm").exists():
        return float("nan")
    shutil.rmtree(out, ignore_errors=True)
    most = 0
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.02):
                try:
                    most = max(most, int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]))
                except (OSError, IndexError):
                    return

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        done.set()
        watcher.join()
    if code:
        raise SystemExit(f"the command ended with {code}: {words}")
    return most * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
