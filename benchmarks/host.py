"""Time the work of the CPU on a photograph around the network and the CRF, against plain Pillow and numpy.

    python benchmarks/host.py                      photographs of tests/photos, as JPEGs of 640 x 480
    python benchmarks/host.py --photos DIR --threads 1,2,4,8

Four steps: decoding to the size at which the network works, handing photographs over as a batch, enlarging
probabilities to labels (what a GPU does where there is one), and encoding, counting and writing a mask. The peer does
the same with Pillow and numpy alone, as this project did before its passes in C++. Both run in turn, several times, and
the least CPU time counts. Masks are those of random smooth probabilities after the CRF, with more borders than most.

Then decoding and writing run in several threads of one process. With as many idle cores, the photographs/s of N threads
over those of one show how much of the work holds Python's lock.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from stego_cli.crf import refine
from stego_cli.images import passes
from stego_cli.images.atomic import write_bytes
from stego_cli.images.decode import decode
from stego_cli.images.discover import find_photos
from stego_cli.images.masks import encode_mask, labels_at, mask_image
from stego_cli.palette import palette
from stego_cli.settings import CrfSettings

SIZE, WORK, CLASSES = (640, 480), (434, 322), 27
RES, PATCH = 320, 14
COLOURS = palette(CLASSES)


@dataclass(frozen=True)
class Sample:
    """A photograph's file, its probabilities at work size and its labels."""

    file: Path
    log_probs: NDArray[np.float32]
    labels: NDArray[np.uint8]


def main() -> None:
    """Make samples, time the steps both ways, then threads; print two tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "tests" / "photos")
    options.add_argument("--count", type=int, default=12, help="photographs to take")
    options.add_argument("--runs", type=int, default=7)
    options.add_argument("--threads", default="1,2")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        samples = make_samples(chosen.photos, root, chosen.count)
        ours, plain = steps(samples, root), plain_steps(samples, root)
        print(f"{len(samples)} photographs, least of {chosen.runs} runs, ms of CPU time a photograph\n")
        print("| step | Pillow and numpy | stego | times |\n|---|---|---|---|")
        for name in ours:
            before, after = np.min([(cpu(plain[name]), cpu(ours[name])) for _ in range(chosen.runs)], axis=0)
            each = 1000 / len(samples)
            print(f"| {name} | {before * each:.2f} | {after * each:.2f} | {before / after:.1f} |", flush=True)
        print("\n| threads | Pillow and numpy, photographs/s | stego, photographs/s |\n|---|---|---|")
        for threads in map(int, chosen.threads.split(",")):
            rates = [
                max(side_by_side(way["decode"], way["encode, count, write"], threads) for _ in range(3))
                for way in (plain, ours)
            ]
            print(f"| {threads} | {len(samples) * rates[0]:.0f} | {len(samples) * rates[1]:.0f} |", flush=True)


def make_samples(photos: Path, root: Path, count: int) -> list[Sample]:
    """Save photographs as JPEGs, and give them probabilities that follow their edges."""
    found, samples = find_photos(photos), []
    for number, photo in enumerate(found.photos[:count]):
        file = root / f"{number}.jpg"
        with Image.open(found.root / photo.path) as opened:
            image = ImageOps.fit(opened.convert("RGB"), SIZE)
        image.save(file, quality=90)
        coarse = np.random.default_rng(number).normal(size=(CLASSES, WORK[1] // 14, WORK[0] // 14)).astype(np.float32)
        scores = 8 * np.stack([np.asarray(Image.fromarray(plane).resize(WORK, 2)) for plane in coarse])
        log_probs = (scores - np.log(np.exp(scores).sum(0))).astype(np.float32)
        refined = refine(np.asarray(image.resize(WORK)), log_probs, CrfSettings())
        samples.append(Sample(file, refined, labels_at(refined, SIZE)))
    return samples


def steps(samples: list[Sample], root: Path) -> dict[str, Callable[[], object]]:
    """Return the steps as this project does them."""
    pixels = [decode(sample.file, RES, PATCH).pixels for sample in samples]
    page = np.empty((len(samples), *pixels[0].shape), np.uint8)  # the GPU's is page-locked

    def hand_over() -> None:
        for place, one in zip(page, pixels, strict=True):
            place[...] = one

    def write() -> None:
        for sample in samples:
            content = encode_mask(sample.labels, COLOURS)
            write_bytes(root / f"{uuid4().hex}.png", content, root)
            hashlib.sha256(content).hexdigest()
            passes.counts(sample.labels)

    return {
        "decode": lambda: [decode(sample.file, RES, PATCH) for sample in samples],
        "hand over": hand_over,
        "enlarge": lambda: [labels_at(sample.log_probs, SIZE) for sample in samples],
        "encode, count, write": write,
    }


def plain_steps(samples: list[Sample], root: Path) -> dict[str, Callable[[], object]]:
    """Return the same steps in Pillow and numpy."""
    pixels = [decode(sample.file, RES, PATCH).pixels for sample in samples]
    page = np.empty((len(samples), *pixels[0].shape), np.uint8)

    def decoded(file: Path) -> NDArray[np.uint8]:
        with Image.open(file) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB").resize(WORK, Image.Resampling.BILINEAR))

    def hand_over() -> None:
        page[...] = np.stack(pixels)

    def enlarge() -> None:
        for sample in samples:
            passes.HAS_NATIVE = False
            try:
                labels_at(sample.log_probs, SIZE)
            finally:
                passes.HAS_NATIVE = True

    def write() -> None:
        for sample in samples:
            stream = io.BytesIO()
            mask_image(sample.labels, COLOURS).save(stream, "PNG", compress_level=4)
            write_bytes(root / f"{uuid4().hex}.png", stream.getvalue(), root)
            hashlib.sha256(stream.getvalue()).hexdigest()
            np.bincount(sample.labels.ravel())

    return {
        "decode": lambda: [decoded(sample.file) for sample in samples],
        "hand over": hand_over,
        "enlarge": enlarge,
        "encode, count, write": write,
    }


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call in this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def side_by_side(decoding: Callable[[], object], writing: Callable[[], object], threads: int) -> float:
    """Return rounds of both a second, with one round in each thread."""

    def both(_: int) -> None:
        decoding()
        writing()

    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(both, range(threads)))
        return threads / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
