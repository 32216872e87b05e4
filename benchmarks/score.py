"""Time `stego score` against a plain loop of Pillow and numpy.bincount, on the same pairs in the same run.

    python benchmarks/score.py                     10,000 pairs of 640 x 480, five runs of each, in turn
    python benchmarks/score.py --pairs 1000 --runs 3 --cpus 0,1

The plain loop decodes both pictures, leaves out ignored labels, and adds up one confusion matrix: no boundary F-score,
no matching, no start of an interpreter in its time. `stego score` is timed as a user meets it, from the start of the
command to its end, boundary F-score included, and without it too.

Labels are grey PNGs and masks palette PNGs, as data sets and `stego segment` write them. Areas have ragged borders, and
a third of them differ between mask and label. 200 different pictures are copied over as many names as are asked for.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from stego_cli.images.masks import encode_mask
from stego_cli.palette import palette

CLASSES = 27
WIDTH, HEIGHT = 640, 480
DIFFERENT = 200


def main() -> None:
    """Make the pairs, time both ways in turn, and print the ratios."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--pairs", type=int, default=10_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--cpus", help="cores to use, such as 0,1 (Linux)")
    options.add_argument("--keep", type=Path, help="folder to make the pairs in, or to find them in")
    chosen = options.parse_args()
    if chosen.cpus:
        os.sched_setaffinity(0, {int(core) for core in chosen.cpus.split(",")})
    with tempfile.TemporaryDirectory() as scratch:
        root = chosen.keep or Path(scratch)
        make_pairs(root, chosen.pairs)
        few = Path(scratch) / "few"
        make_pairs(few, max(200, chosen.pairs // 10))
        plain_counts(few)  # once for nothing, so that both ways meet warm caches
        compare(root, few, chosen.runs)


def compare(root: Path, few: Path, runs: int) -> None:
    """Time both ways on `root` in turn, and the memory on `root` and on its tenth, `few`."""
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "plain loop": lambda: timed(lambda: plain_counts(root)),
        "stego score": lambda: timed(lambda: stego(root)),
        "stego score --no-boundary": lambda: timed(lambda: stego(root, "--no-boundary")),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(runs):
        for name, way in ways.items():
            wall, processor = way()
            seconds[name].append(wall)
            busy[name].append(processor)
        print(f"run {run + 1}: " + "   ".join(f"{name} {those[-1]:.2f} s" for name, those in seconds.items()))
    for name, those in busy.items():  # tells more than the clock where others use the machine too
        print(f"{name}: {statistics.median(those):.2f} processor seconds (median)")
    for name, those in list(seconds.items())[1:]:
        ratios = [plain / ours for plain, ours in zip(seconds["plain loop"], those, strict=True)]
        print(
            f"{name}: {min(ratios):.2f} / {statistics.median(ratios):.2f} / {max(ratios):.2f} times as fast as the "
            "plain loop (min / median / max)"
        )
    small, large = peak_memory(few), peak_memory(root)
    print(f"peak memory of all processes: {small:.0f} MB on a tenth of the pairs, {large:.0f} MB on all")


def make_pairs(root: Path, pairs: int) -> None:
    """Fill root/gt and root/pred with `pairs` PNGs each, in folders of 1,000, unless they are there."""
    if root.exists() and len(list(root.glob("gt/*/*.png"))) == pairs:
        return
    random, colours = np.random.default_rng(0), palette(CLASSES)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    for index in range(pairs):
        folder = f"{index // 1000:03d}"
        gt, pred = (root / side / folder / f"{index:06d}.png" for side in ("gt", "pred"))
        if index >= DIFFERENT:
            source = (root / side / "000" / f"{index % DIFFERENT:06d}.png" for side in ("gt", "pred"))
            for old, new in zip(source, (gt, pred), strict=True):
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(old, new)
            continue
        for file in (gt, pred):
            file.parent.mkdir(parents=True, exist_ok=True)
        areas = nearest_seed(rows, columns, random)
        classes = random.integers(0, CLASSES, areas.max() + 1).astype(np.uint8)
        label = classes[areas]
        label[:, :4] = 255
        Image.fromarray(label).save(gt)
        wrong = random.random(classes.size) < 0.3
        classes[wrong] = random.integers(0, CLASSES, int(wrong.sum()))
        pred.write_bytes(encode_mask(np.roll(classes[areas], 3, axis=1), colours))


def nearest_seed(rows: np.ndarray, columns: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return which of some 25 seeds each pixel is nearest to, with borders made ragged by noise; int64 (H, W)."""
    coarse = random.normal(0, 12, (2, HEIGHT // 8, WIDTH // 8)).astype(np.float32)
    waves = [np.asarray(Image.fromarray(plane).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) for plane in coarse]
    seeds = random.random((25, 2)) * (HEIGHT, WIDTH)
    best, chosen = np.full(rows.shape, np.inf), np.zeros(rows.shape, dtype=np.int64)
    for index, (y, x) in enumerate(seeds):
        distance = (rows + waves[0] - y) ** 2 + (columns + waves[1] - x) ** 2
        chosen[distance < best] = index
        np.minimum(best, distance, out=best)
    return chosen


def plain_counts(root: Path) -> np.ndarray:
    """Add up one confusion matrix in a single process, as evaluation scripts do."""
    total = np.zeros(CLASSES * CLASSES, dtype=np.int64)
    for gt in sorted((root / "gt").glob("*/*.png")):
        label = np.asarray(Image.open(gt))
        pred = np.asarray(Image.open(root / "pred" / gt.relative_to(root / "gt")))
        known = label < CLASSES
        total += np.bincount(label[known].astype(np.int64) * CLASSES + pred[known], minlength=CLASSES * CLASSES)
    return total


def command(root: Path, *more: str) -> list[str]:
    """Return the command line that scores `root`."""
    folders = ["--pred", str(root / "pred"), "--gt", str(root / "gt")]
    return [sys.executable, "-m", "stego_cli", "score", *folders, "--classes", str(CLASSES), *more]


def stego(root: Path, *more: str) -> None:
    """Run `stego score` to its end."""
    subprocess.run(command(root, *more), check=True, capture_output=True)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that `work` takes by the clock, and of processors in this process and its children."""
    began, before = time.perf_counter(), os.times()
    work()
    seconds, after = time.perf_counter() - began, os.times()
    return seconds, sum(after[:4]) - sum(before[:4])


def peak_memory(root: Path) -> float:
    """Return the largest sum of resident memory, in MB, over `stego score` and its children; NaN but on Linux."""
    if not Path("/proc/self/task").exists():
        return float("nan")
    most = 0.0
    with subprocess.Popen(command(root), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.05):
                most = max(most, sum(map(resident, family(process.pid))))

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        done.set()
        watcher.join()
    return most


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:
        for file in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, file.read_text().split())
            except OSError:  # it has just ended
                continue
    return found


def resident(pid: int) -> float:
    """Return the resident memory of a process, in MB; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
