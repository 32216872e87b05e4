"""Time `stego segment` against plain PyTorch with pydensecrf, same weights, same photographs, in the same run.

    python benchmarks/segment.py --photos DIR                          27 classes, trained in a few steps on DIR
    python benchmarks/segment.py --photos DIR --run RUN --limit 40 --runs 3 --cpus 0,1

The peers are in segment_peers.py: "plain" is the loop of the original's demonstration, "pool" has a DataLoader and a
pool of processes. Three kinds of work are timed, each way in turn:

- flip pair, CRF: the published evaluation's work, the same for all;
- defaults: what `stego segment` does unasked (one pass, CRF) beside the plain loop's flip pair and CRF;
- no CRF: one pass through the network for all.

A peer's seconds are those of its loop alone. `stego segment` is timed as a user meets it, from the start of the
command to its end. Memory is the largest sum of resident memory over a way's processes, pages shared counted in each.
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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from score import family, resident

from stego_cli.images.discover import find_photos

PEERS = Path(__file__).with_name("segment_peers.py")


@dataclass
class Way:
    """One way to do one kind of work: its command, the folder it fills, and what was measured."""

    work: str
    name: str
    command: list[str]
    masks: Path
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0


def main() -> None:
    """Make the models, time all ways in turn, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--run", type=Path, help="a run to use; else one is trained in a few steps on the photographs")
    options.add_argument("--classes", type=int, default=27, help="of the run that is trained")
    options.add_argument("--limit", type=int, help="photographs to take")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--cpus", help="cores to use, such as 0,1 (Linux)")
    options.add_argument("--only", help="kinds of work, such as 'no CRF,defaults'")
    chosen = options.parse_args()
    if chosen.cpus:
        os.sched_setaffinity(0, {int(core) for core in chosen.cpus.split(",")})
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        photos = few(chosen.photos, root / "photos", chosen.limit)
        run = chosen.run
        if run is None:
            run = root / "run"
            stego("train", photos, "--out", run, "--classes", chosen.classes, "--steps", 40)
        for name, more in (("single", ()), ("flip", ("--flip",))):
            stego("export-onnx", run, "--out", root / f"{name}.onnx", *more)
        ways = every_way(run, photos, root)
        if chosen.only:
            ways = [way for way in ways if way.work in chosen.only.split(",")]
        for number in range(chosen.runs):
            for way in ways:
                measure(way)
            print(
                f"run {number + 1}: " + "   ".join(f"{w.work}, {w.name} {w.seconds[-1]:.1f} s" for w in ways),
                flush=True,
            )
        table(ways, len(list(photos.iterdir())))


def few(folder: Path, target: Path, limit: int | None) -> Path:
    """Return a folder of links to the first photographs."""
    target.mkdir()
    found = find_photos(folder)
    for index, photo in enumerate(found.photos[:limit]):
        file = found.root / photo.path
        (target / f"{index:06d}{file.suffix}").symlink_to(file.resolve())
    return target


def stego(*arguments: object) -> None:
    """Run a command of the tool, in silence."""
    command = [sys.executable, "-m", "stego_cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def every_way(run: Path, photos: Path, root: Path) -> list[Way]:
    """Return all ways; the first of each kind of work is the one that the others are compared with."""
    folder = root / "masks"

    def peer(work: str, name: str, *more: str) -> Way:
        masks = folder / f"{len(ways)}"
        return Way(work, name, [sys.executable, str(PEERS), name, str(run), str(photos), str(masks), *more], masks)

    def ours(work: str, model: str, *more: str) -> Way:
        masks = folder / f"{len(ways)}"
        arguments = [str(photos), "--out", str(masks), "--model", str(root / model), "--device", "cpu", *more]
        return Way(work, "stego segment", [sys.executable, "-m", "stego_cli", "segment", *arguments], masks)

    ways: list[Way] = []
    ways.append(peer("flip pair, CRF", "plain", "--flip", "--crf"))
    ways.append(peer("flip pair, CRF", "pool", "--flip", "--crf"))
    ways.append(ours("flip pair, CRF", "flip.onnx"))
    ways.append(peer("defaults", "plain", "--flip", "--crf"))
    ways.append(ours("defaults", "single.onnx"))
    ways.append(peer("no CRF", "plain"))
    ways.append(peer("no CRF", "pool"))
    ways.append(ours("no CRF", "single.onnx", "--no-crf"))
    return ways


def measure(way: Way) -> None:
    """Run one way once, from nothing."""
    shutil.rmtree(way.masks, ignore_errors=True)
    most, done = 0.0, threading.Event()
    began = time.perf_counter()
    process = subprocess.Popen(way.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def watch() -> None:
        nonlocal most
        while not done.wait(0.1):
            most = max(most, sum(map(resident, family(process.pid))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    printed, said = process.communicate()
    wall = time.perf_counter() - began
    done.set()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(way.command)} ended with {process.returncode}:\n{said}")
    way.seconds.append(wall if way.name == "stego segment" else float(printed))
    way.memory = max(way.memory, most)


def agreement(masks: Path, others: Path) -> float:
    """Return the share of pixels, over all masks, that have the same class in both folders."""
    same = total = 0
    for file in sorted(others.glob("*.png")):
        ours, theirs = (np.asarray(Image.open(folder / file.name)) for folder in (masks, others))
        same, total = same + int((ours == theirs).sum()), total + ours.size
    return same / total


def table(ways: list[Way], photographs: int) -> None:
    """Print a row a way, as Markdown."""
    print(f"\n{photographs} photographs, median of {len(ways[0].seconds)} runs\n")
    print("| work | way | s a photograph | photographs/s | times plain (min / median / max) | peak MB | same pixels |")
    print("|---|---|---|---|---|---|---|")
    for way in ways:
        first = next(other for other in ways if other.work == way.work)
        ratios = [theirs / own for theirs, own in zip(first.seconds, way.seconds, strict=True)]
        each = statistics.median(way.seconds) / photographs
        times = f"{min(ratios):.2f} / {statistics.median(ratios):.2f} / {max(ratios):.2f}"
        print(
            f"| {way.work} | {way.name} | {each:.3f} | {1 / each:.2f} | {times} | {way.memory:.0f} | "
            f"{agreement(way.masks, first.masks):.2%} |"
        )


if __name__ == "__main__":
    main()
