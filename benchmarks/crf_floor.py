"""Time the stages of the native CRF engine, beside the time that their least memory traffic takes.

    python benchmarks/crf_floor.py                    320x320, 640x480 and 1280x960, 27 classes, one thread
    python benchmarks/crf_floor.py --sizes 960x720 --classes 100 --photo FILE --repeats 9

A stage's time is a difference between runs of the engine with and without its kernels and iterations, each the least
of --repeats, in processor seconds where there is one thread. The floor counts each array that a pass over the
photograph reads or writes once, as if caches kept everything during a pass and nothing between passes, and divides that
by the speed at which one thread copies memory on this machine. A share above 100 % means that arrays stayed in cache.

With P pixels, V vertices of the bilateral lattice, and rows of R bytes (the classes, padded to whole vectors), the
bytes are:

    in and out              planes to rows and back      2 P classes * 4 + 3 P R
    iteration: softmax      unary in, probabilities out  2 P R
    iteration: spatial      splat P R, lists 2 * 3 P * 8; the columns of vertices stay in cache
    iteration: bilateral    splat P R + V R, two sweeps of three axes 2 * 2 V R, slice V R, lists 2 * 6 P * 8 + 6 V * 4
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from crf import PHOTOS, SOFT, Scene, make_scene

from stego_cli.crf import _native
from stego_cli.crf.lattice import bilateral_features, build_lattice, spatial_features
from stego_cli.machine import calm_threads
from stego_cli.settings import CrfSettings

SETTINGS = CrfSettings()
SPATIAL = (SETTINGS.gaussian_sxy, 0.0, SETTINGS.gaussian_compat)
BILATERAL = (SETTINGS.bilateral_sxy, SETTINGS.bilateral_srgb, SETTINGS.bilateral_compat)
Kernel = tuple[float, float, float]
LANES = {"avx512": 16, "avx2": 8, "baseline": 4}


def main() -> None:
    """Measure each size, and print a table of its stages."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default="320x320,640x480,1280x960")
    options.add_argument("--classes", type=int, default=27)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--photo", type=Path, default=PHOTOS / "cat.jpg", help="resized to each size")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--cpus", help="cores to use, such as 0,1 (Linux)")
    chosen = options.parse_args()
    if chosen.cpus:
        os.sched_setaffinity(0, {int(core) for core in chosen.cpus.split(",")})
    calm_threads()
    speed = copying_speed()
    print(f"{_native.instruction_sets()[0]}, {chosen.threads} thread(s); one thread copies {speed / 1e9:.1f} GB/s")
    for size in chosen.sizes.split(","):
        width, height = map(int, size.split("x"))
        scene = make_scene(chosen.photo, height, width, chosen.classes, SOFT, 0)
        spatial, bilateral = vertices(scene)
        stride = row_bytes(chosen.classes)
        print(f"\n{size}, {chosen.classes} classes in rows of {stride} bytes; ", end="")
        print(f"vertices a pixel: {bilateral / width / height:.2f} bilateral, {spatial / width / height:.2f} spatial\n")
        moved = traffic(height * width, chosen.classes, stride, bilateral)
        print("| stage | MB at least | floor, ms | measured, ms | share |\n|---|---|---|---|---|")
        for name, seconds in stages(scene, chosen.threads, chosen.repeats).items():
            floor = moved.get(name)
            counted = "| - | - " if floor is None else f"| {floor / 1e6:.1f} | {1e3 * floor / speed:.2f} "
            share = "-" if floor is None else f"{floor / speed / seconds:.0%}"
            print(f"| {name} {counted}| {1e3 * seconds:.2f} | {share} |")


def copying_speed() -> float:
    """Return the bytes a second that one thread reads and writes when it copies 256 MB, the best of 15 times."""
    source = np.ones(64 << 20, np.float32)
    target = np.zeros_like(source)
    return 2 * source.nbytes / min(timed(lambda: np.copyto(target, source), time.process_time) for _ in range(15))


def timed(work: Callable[[], None], clock: Callable[[], float]) -> float:
    """Return the time that `work` takes once, in seconds."""
    began = clock()
    work()
    return clock() - began


def vertices(scene: Scene) -> tuple[int, int]:
    """Return the numbers of vertices of the spatial and the bilateral lattice."""
    images = torch.from_numpy(scene[0])[None]
    _, height, width, _ = images.shape
    spatial = spatial_features(height, width, SETTINGS.gaussian_sxy, images.device)
    bilateral = bilateral_features(images, SETTINGS.bilateral_sxy, SETTINGS.bilateral_srgb)
    return build_lattice(spatial).count, build_lattice(bilateral).count


def row_bytes(classes: int) -> int:
    """Return the bytes of a row: the classes, padded to the vectors that the engine uses for them."""
    lanes = 4
    while lanes < min(classes, LANES[_native.instruction_sets()[0]]):
        lanes *= 2
    vectors = -(-classes // lanes)
    blocks = -(-vectors // 8)
    return 4 * lanes * blocks * -(-vectors // blocks)


def traffic(pixels: int, classes: int, row: int, vertices: int) -> dict[str, float]:
    """Return the bytes of each stage that has a floor."""
    moved = {
        "in and out": 2 * pixels * classes * 4 + 3 * pixels * row,
        "iteration: softmax": 2 * pixels * row,
        "iteration: spatial": pixels * row + 2 * 3 * pixels * 8,
        "iteration: bilateral": pixels * row + 6 * vertices * row + 2 * 6 * pixels * 8 + 6 * vertices * 4,
    }
    return {**moved, "iteration": sum(size for name, size in moved.items() if name.startswith("iteration"))}


def stages(scene: Scene, threads: int, repeats: int) -> dict[str, float]:
    """Return the seconds of each stage."""
    image, log_probs = scene
    out = np.empty_like(log_probs)
    clock = time.process_time if threads == 1 else time.perf_counter  # others may use the machine at the same time

    def run(kernels: tuple[Kernel, ...], iterations: int) -> None:
        _native.refine(image, log_probs, out, (1, *log_probs.shape), kernels, iterations, threads, "")

    run((), 0)
    first = timed(lambda: run((SPATIAL,), 0), clock)  # this lattice is built only here
    neither, one, both = (), (SPATIAL,), (SPATIAL, BILATERAL)
    many = SETTINGS.iterations
    runs: list[tuple[tuple[Kernel, ...], int]] = [(neither, 0), (both, 0)]
    runs += [(kernels, count) for kernels in (neither, one, both) for count in (1, many)]
    took = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):  # all runs in turn, so that a disturbance does not fall on one of a pair
        for each in runs:
            took[each] = min(took[each], timed(lambda each=each: run(*each), clock))  # type: ignore[misc]
    softmax, spatial, bilateral = ((took[k, many] - took[k, 1]) / (many - 1) for k in (neither, one, both))
    return {
        "spatial lattice, once a size": first - took[neither, 0],
        "bilateral lattice": took[both, 0] - took[neither, 0],
        "in and out": took[neither, 0],
        "iteration: softmax": softmax,
        "iteration: spatial": spatial - softmax,
        "iteration: bilateral": bilateral - spatial,
        "iteration": bilateral,
        f"a photograph, {many} iterations": took[both, many],
    }


if __name__ == "__main__":
    main()
