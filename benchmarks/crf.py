"""Time the dense CRF's engines against pydensecrf, on the same photographs and probabilities in the same run.

    python benchmarks/crf.py                          320x320 and 640x480, 27 classes, soft probabilities; a few minutes
    python benchmarks/crf.py --sizes 1280x960 --classes 3,100 --sharp --photos DIR
    python benchmarks/crf.py --full                   all sizes up to 2048x1536 and all numbers of classes; hours

Probabilities are the softmax of smooth random codes: soft as those of cosine clusters, or with --sharp as those of a
trained classifier. For each photograph every engine refines once untimed, which gives the agreement with pydensecrf,
and then --runs times, the engines in turn; a ratio is always between two times of the same turn. So the engines are
warm: the native and the CUDA engine reuse the spatial lattice of the size before. One photograph is refined at a time,
with the settings of the published evaluation (10 iterations). Where others use the machine too, processor seconds and
their ratio are more reliable than the clock.

Memory is the most that refining one photograph adds to a fresh process that holds the input, with the result (for
cuda: of the GPU's memory); Linux only. Engines that need more than the free memory are left out, and named.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.crf import ENGINES, refine
from stego_cli.machine import calm_threads, cores
from stego_cli.settings import CrfSettings

PHOTOS = Path(__file__).parents[1] / "tests" / "photos"
SOFT, SHARP = 2.0, 20.0  # the likeliest of 27 classes then has about 0.1, or 0.6
SIZES = ("320x320", "640x480", "1280x960", "2048x1536")
CLASSES = (3, 27, 100)
PEAK = {"cpu": 7.5, "torch": 17.0, "pydensecrf": 10.5, "cuda": 1.0}  # float32 a pixel and class, an upper estimate
UNKNOWN_PEAK = 20.0  # of other engines
PEAK_PER_PIXEL = 1000  # bytes beside the classes, an upper estimate
HELD = 3  # float32 a pixel and class, of the input and of two results
Scene = tuple[NDArray[np.uint8], NDArray[np.float32]]


@dataclass
class Way:
    """An engine with its threads, and its measurements."""

    engine: str
    threads: int = 1
    seconds: list[float] = field(default_factory=list)  # by the clock
    busy: list[float] = field(default_factory=list)  # of all processors
    agreement: list[float] = field(default_factory=list)  # share of pixels with the reference's class
    difference: float = 0.0  # of a probability, at most

    @property
    def name(self) -> str:
        """The engine, and its threads where it has a choice."""
        return f"{self.engine}, {self.threads} thread{'s'[: self.threads > 1]}" if self.engine == "cpu" else self.engine

    def run(self, scene: Scene) -> NDArray[np.float32]:
        """Refine once."""
        return refine(*scene, CrfSettings(), engine=self.engine, threads=self.threads)


def main() -> None:
    """Measure each combination of the options, and print a table for each."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", help="widths and heights, such as 320x320,640x480")
    options.add_argument("--classes", help="numbers of classes, such as 3,27")
    options.add_argument("--threads", help="of the native engine, such as 1,2 (default: one, and one a core)")
    options.add_argument("--photos", type=Path, default=PHOTOS, help="folder of JPEGs or PNGs, resized to each size")
    options.add_argument("--limit", type=int, default=3, help="photographs to take")
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--engines", help="engines to time, such as cpu,pydensecrf (default: all)")
    options.add_argument("--sharp", action="store_true", help="sharp probabilities as well")
    options.add_argument("--full", action="store_true", help="all sizes, numbers of classes, and sharpnesses")
    options.add_argument("--no-memory", action="store_true", help="leave out the peaks, which take a process each")
    options.add_argument("--cpus", help="cores to use, such as 0,1 (Linux)")
    chosen = options.parse_args()
    if chosen.cpus:
        os.sched_setaffinity(0, {int(core) for core in chosen.cpus.split(",")})
    calm_threads()
    sizes = chosen.sizes.split(",") if chosen.sizes else SIZES if chosen.full else SIZES[:2]
    classes = map(int, chosen.classes.split(",")) if chosen.classes else CLASSES if chosen.full else (27,)
    threads = sorted(set(map(int, chosen.threads.split(",")))) if chosen.threads else sorted({1, cores()})
    engines = usable(chosen.engines.split(",") if chosen.engines else ENGINES)
    photos = photographs(chosen.photos)[: chosen.limit]
    print(f"{cores()} cores; {len(photos)} photographs of {chosen.photos}, {chosen.runs} runs each")
    for count in classes:
        for size in sizes:
            width, height = map(int, size.split("x"))
            for sharpness in (SOFT, SHARP) if chosen.sharp or chosen.full else (SOFT,):
                work = (height, width, count, sharpness)
                print(f"\n{size}, {count} classes, {'soft' if sharpness == SOFT else 'sharp'} probabilities\n")
                ways = fitting_ways(engines, threads, height * width, count)
                if not ways:
                    continue
                for index, photo in enumerate(photos):
                    compare(ways, make_scene(photo, *work, index), chosen.runs)
                memory = [] if chosen.no_memory else [peak_memory(way, photos[0], work) for way in ways]
                print_table(ways, memory)


def photographs(folder: Path) -> list[Path]:
    """Return the JPEGs and PNGs of a folder."""
    return sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))


def usable(engines: Iterable[str]) -> list[str]:
    """Return the engines that can be used here; print why others cannot."""
    found = []
    for engine in engines:
        if reason := ENGINES[engine].missing():
            print(f"left out: {engine}: {reason}")
        else:
            found.append(engine)
    return found


def fitting_ways(engines: list[str], threads: list[int], pixels: int, classes: int) -> list[Way]:
    """Return the engines that probably fit the memory, the reference last; print which do not."""
    ways = []
    for engine in engines:
        need, free = pixels * ((PEAK.get(engine, UNKNOWN_PEAK) + HELD) * classes * 4 + PEAK_PER_PIXEL), free_memory()
        if need > 0.9 * free:
            print(f"left out: {engine} may need {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
        else:
            ways += [Way(engine, number) for number in (threads if engine == "cpu" else (1,))]
    return ways


def free_memory() -> float:
    """Return the bytes of available memory; infinite where the system does not report it."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    except OSError:
        return float("inf")
    return float(lines["MemAvailable"].split()[0]) * 1024


def make_scene(photo: Path, height: int, width: int, classes: int, sharpness: float, seed: int) -> Scene:
    """Return a photograph, uint8 (H, W, 3), and log-probabilities, float32 (K, H, W).

    These are the log softmax of `sharpness` times smooth random codes between -1 and 1, as cosines are.
    """
    with Image.open(photo) as opened:
        image = np.array(opened.convert("RGB").resize((width, height)))
    random = np.random.default_rng(seed)
    scores = np.empty((classes, height, width), np.float32)
    for k in range(classes):
        coarse = Image.fromarray(random.normal(size=(height // 16 + 2, width // 16 + 2)).astype(np.float32))
        scores[k] = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR))
    scores *= sharpness / max(scores.max(), -scores.min())
    for y in range(height):  # a row at a time, so that making a scene takes no more memory than the scene
        scores[:, y] -= np.log(np.exp(scores[:, y]).sum(0))
    return image, scores


def compare(ways: list[Way], scene: Scene, runs: int) -> None:
    """Refine a scene in all ways: once for the agreement with the last way, then `runs` times with a clock."""
    reference = ways[-1].run(scene)
    for way in ways:
        refined = reference if way is ways[-1] else way.run(scene)
        way.agreement.append(float((refined.argmax(0) == reference.argmax(0)).mean()))
        for ours, theirs in zip(refined, reference, strict=True):
            way.difference = max(way.difference, float(np.abs(np.exp(ours) - np.exp(theirs)).max()))
    del reference, refined
    for _ in range(runs):
        for way in ways:
            began, before = time.perf_counter(), time.process_time()
            way.run(scene)
            way.seconds.append(time.perf_counter() - began)
            way.busy.append(time.process_time() - before)


def print_table(ways: list[Way], memory: list[float]) -> None:
    """Print the measurements; `memory` in MB for each way, or empty."""
    reference = ways[-1]
    titles = ["engine", "s a photograph", "photographs/s", "processor s"]
    titles += [f"times {reference.name} (min / median / max)", "by processor s", "same class", "difference", "peak MB"]
    print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
    for way, peak in zip(ways, memory or [float("nan")] * len(ways), strict=True):
        clock = sorted(theirs / ours for theirs, ours in zip(reference.seconds, way.seconds, strict=True))
        busy = statistics.median(theirs / ours for theirs, ours in zip(reference.busy, way.busy, strict=True))
        seconds = statistics.median(way.seconds)
        print(
            f"| {way.name} | {seconds:.3f} | {1 / seconds:.2f} | {statistics.median(way.busy):.3f} "
            f"| {clock[0]:.2f} / {statistics.median(clock):.2f} / {clock[-1]:.2f} | {busy:.2f} "
            f"| {statistics.mean(way.agreement):.5%} | {way.difference:.1e} | {peak:.0f} |".replace("nan", "-"),
            flush=True,
        )


def peak_memory(way: Way, photo: Path, work: tuple[int, int, int, float]) -> float:
    """Return the MB that refining adds to a fresh process; NaN where the system does not report it."""
    if not Path("/proc/self/clear_refs").exists():
        return float("nan")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(added_memory, Way(way.engine, way.threads), photo, work).result()


def added_memory(way: Way, photo: Path, work: tuple[int, int, int, float]) -> float:
    """Refine once, and return the most MB that this adds."""
    height, width, classes, sharpness = work
    way.run(make_scene(photo, 16, 16, classes, sharpness, 0))  # loads libraries and allocates the stacks of threads
    scene = make_scene(photo, height, width, classes, sharpness, 0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak to what is resident now
    before = status("VmRSS")
    way.run(scene)
    if way.engine == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    return status("VmHWM") - before


def status(key: str) -> float:
    """Return one of this process's memory figures, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return float(lines[key].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
