"""Time `stego prepare voc2012` against copying the same files, in turn in the same run.

    python benchmarks/prepare.py                   17,125 photographs and 2,913 labels, three runs of each
    python benchmarks/prepare.py --photos 2000 --runs 5

The archive has the names, sizes and layout of VOCtrainval_11-May-2012.tar, which has 2.0 GB: photographs of about 500 x
375 pixels and 112 kB, palette labels with void borders, lists of 1,464 and 1,449, and what else lies in it, an
annotation of 1 kB for each photograph above all. A few dozen different pictures are made, and every file gets bytes of
its own at its end, so that no two are equal. The peer copies the unpacked photographs and labels with shutil.copyfile,
one after the other; beside it stand `cp -r` of both, and `tar -x` of both. `stego prepare` is timed as a user meets it,
from the start of the command to its end, from the archive and from the unpacked folder.

All write to the same disk, from the page cache and into it: what is timed is processor work, which a real disk hides
for all of them alike. What a run wrote is emptied and put aside, and deleted when all is done: ext4 passes over numbers
of files that were deleted less than five minutes ago, one by one, which takes longer than the copying. (For the same
reason, wait five minutes before another run on the same disk.)
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
KINDS = ("JPEGImages", "SegmentationClass")


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
        "cp -r": lambda: into(out, ["cp", "-r", *(str(tree / ROOT / kind) for kind in KINDS), str(out)]),
        "tar -x": lambda: into(out, ["tar", "-xf", str(tar), "-C", str(out), *(f"{ROOT}/{kind}" for kind in KINDS)]),
        "stego prepare TAR": lambda: run(prepare(tar, out)),
        "stego prepare FOLDER": lambda: run(prepare(tree, out)),
        "stego prepare FOLDER --link": lambda: run([*prepare(tree, out), "--link"]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            put_aside(out)
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


def put_aside(out: Path) -> None:
    """Empty all files of the last run, which gives back its room, and move it away; see above why."""
    for file in out.rglob("*"):
        if file.is_file():
            if file.stat().st_nlink > 1:
                file.unlink()
            else:
                os.truncate(file, 0)
    if out.exists():
        out.rename(Path(tempfile.mkdtemp(dir=out.parent)) / "old")


def prepare(source: Path, out: Path) -> list[str]:
    """Return the command line."""
    words = ["prepare", "voc2012", "--source", str(source), "--out", str(out), "--unlabelled"]
    return [sys.executable, "-m", "stego_cli", *words]


def run(words: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(words, check=True, capture_output=True)


def into(out: Path, words: list[str]) -> None:
    """Make a folder and run the command that fills it."""
    out.mkdir()
    run(words)


def copy(tree: Path, out: Path) -> None:
    """Copy all photographs and labels, one after the other."""
    for kind in KINDS:
        (out / kind).mkdir(parents=True)
        for file in sorted((tree / ROOT / kind).iterdir()):
            shutil.copyfile(file, out / kind / file.name)


def make_tree(tree: Path, photos: int) -> None:
    """Write the unpacked data set."""
    random = np.random.default_rng(0)
    for kind in (*KINDS, "SegmentationObject", "Annotations", "ImageSets/Segmentation"):
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
        (tree / ROOT / f"Annotations/{name}.xml").write_bytes(b"<annotation>" + bytes(1000))
        if index < train + val:
            for kind in ("SegmentationClass", "SegmentationObject"):
                (tree / ROOT / f"{kind}/{name}.png").write_bytes(labels[index % DIFFERENT] + own)


def make_tar(tree: Path, target: Path) -> None:
    """Pack it as the official host does: a plain tar."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tree / "VOCdevkit", "VOCdevkit")


def photograph(random: np.random.Generator) -> bytes:
    """Return a JPEG of 500 x 375 and about 112 kB: soft areas under noise."""
    areas = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (500, 375), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(areas).astype(np.int16) + random.integers(-22, 23, (375, 500, 1), dtype=np.int16)
    stream = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
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
    put_aside(out)
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
