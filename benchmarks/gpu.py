"""Time `stego segment` and the CRF on an NVIDIA GPU, and compare float16 with float32.

    python benchmarks/gpu.py                       20,000 JPEGs of 640 x 480, made of tests/photos
    python benchmarks/gpu.py --photos DIR --run RUN --count 5000

Up to 200 photographs of DIR are cut to 640 x 480, saved as JPEGs, and linked under --count names. The real command
segments them all, in float32 and float16, with and without the CRF; its time is that from its start to its end. Five
times a second nvidia-smi reports how busy the GPU is. Without --run, a run of 27 classes is first trained on the
photographs, in a few steps.

The CRF engine is then timed alone on 320 x 320 pixels and 27 classes, and its bandwidth counted: each Triton kernel
reads and writes each of its arguments once, whatever the caches save.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from stego_cli.errors import UsageError
from stego_cli.images.decode import decode
from stego_cli.images.discover import find_photos
from stego_cli.inference.devices import providers
from stego_cli.inference.session import Session
from stego_cli.settings import CrfSettings

SIZE = 640, 480
DIFFERENT = 200
WORK, CLASSES, BATCH = 320, 27, 32  # of the CRF alone


def main() -> None:
    """Make photographs and models, time the command, then the CRF; print two short tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "tests" / "photos")
    options.add_argument("--run", type=Path, help="a run to use; else one is trained in a few steps on the photographs")
    options.add_argument("--count", type=int, default=20_000)
    chosen = options.parse_args()
    refuse_without_gpu()
    import torch

    print(f"{torch.cuda.get_device_name(0)}, {len(os.sched_getaffinity(0))} cores, {chosen.count} photographs\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        different = make_photos(chosen.photos, root / "photos", chosen.count)
        run = chosen.run
        if run is None:
            run = root / "run"
            stego("train", chosen.photos, "--out", run, "--classes", CLASSES, "--steps", 40)
        print("| precision | CRF | photographs/s | GPU busy, mean | median | GPU memory, GB |")
        print("|---|---|---|---|---|---|")
        for precision in ("fp32", "fp16"):
            stego("export-onnx", run, "--out", root / f"{precision}.onnx", "--precision", precision)
            for crf in ("--crf", "--no-crf"):
                model, masks = root / f"{precision}.onnx", root / f"{precision}{crf}"
                command = ("segment", root / "photos", "--out", masks, "--model", model, "--device", "cuda", crf)
                seconds, busy, memory = watched(command)
                print(
                    f"| {precision} | {'yes' if crf == '--crf' else 'no'} | {chosen.count / seconds:.0f} | "
                    f"{statistics.mean(busy):.0f}% | {statistics.median(busy):.0f}% | {max(memory) / 1024:.1f} |",
                    flush=True,
                )
        print(f"\nfloat16 has float32's class on {agreement(different, root):.3%} of pixels before the CRF.\n")
    time_crf()


def refuse_without_gpu() -> None:
    """End with a sentence where the GPU cannot be used by all parts."""
    try:
        providers.choose("cuda")
    except UsageError as error:
        raise SystemExit(f"This benchmark needs an NVIDIA GPU. {error.message} {error.remedy}") from None
    from stego_cli.crf import cuda_engine

    if reason := cuda_engine.missing():
        raise SystemExit(f"This benchmark needs an NVIDIA GPU that torch and Triton can use: {reason}.")


def make_photos(source: Path, target: Path, count: int) -> list[Path]:
    """Fill `target` with JPEGs, and return those that are different."""
    target.mkdir()
    found = find_photos(source)
    different = []
    for number, photo in enumerate(found.photos[: min(DIFFERENT, count)]):
        file = target / f"{number:06d}.jpg"
        with Image.open(found.root / photo.path) as opened:
            ImageOps.fit(opened.convert("RGB"), SIZE).save(file, quality=90)
        different.append(file)
    for number in range(len(different), count):
        (target / f"{number:06d}.jpg").hardlink_to(different[number % len(different)])
    return different


def stego(*arguments: object) -> None:
    """Run a command of the tool without output."""
    ended = subprocess.run([sys.executable, "-m", "stego_cli", *map(str, arguments)], capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"stego {arguments[0]} ended with {ended.returncode}:\n{ended.stderr}")


def watched(command: tuple[object, ...]) -> tuple[float, list[float], list[float]]:
    """Run a command of the tool; return its seconds, and samples of the GPU's load in per cent and memory in MB."""
    import torch

    query = "--query-gpu=utilization.gpu,memory.used"
    gpu = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    sampling = ["nvidia-smi", f"--id={gpu}", query, "--format=csv,noheader,nounits", "--loop-ms=200"]
    samples: list[str] = []
    with subprocess.Popen(sampling, stdout=subprocess.PIPE, text=True) as sampler:
        assert sampler.stdout is not None
        reader = threading.Thread(target=lambda lines: samples.extend(lines), args=(sampler.stdout,))
        reader.start()
        began = time.perf_counter()
        stego(*command)
        seconds = time.perf_counter() - began
        sampler.terminate()
        reader.join()
    numbers = [line.split(",") for line in samples if line.count(",") == 1]
    if not numbers:
        raise SystemExit("nvidia-smi reported nothing.")
    return seconds, [float(busy) for busy, _ in numbers], [float(memory) for _, memory in numbers]


def agreement(photos: list[Path], models: Path) -> float:
    """Return the share of pixels at work size with the same class in both precisions, without the CRF."""
    from stego_cli.inference.devices.gpu_pipeline import DevicePipeline

    sessions = [Session.from_file(models / f"{precision}.onnx", "cuda") for precision in ("fp32", "fp16")]
    pipelines = [DevicePipeline(session, "cluster", None) for session in sessions]
    same = total = 0
    for file in photos:
        pixels = decode(file, sessions[0].info.res, sessions[0].info.patch).pixels
        exact, half = (np.asarray(one.labels(pixels[None], [pixels.shape[1::-1]])[0]) for one in pipelines)
        same, total = same + int((exact == half).sum()), total + exact.size
    return same / total


def time_crf() -> None:
    """Print the engine's photographs a second and its bandwidth, on soft probabilities."""
    import torch

    from stego_cli.crf import cuda_engine

    folder = Path(__file__).parents[1] / "tests" / "photos"
    files = sorted(folder.glob("*.jpg"))
    pictures = [ImageOps.fit(Image.open(file).convert("RGB"), (WORK, WORK)) for file in files]
    images = torch.tensor(np.stack([np.asarray(pictures[index % len(pictures)]) for index in range(BATCH)])).cuda()
    coarse = torch.randn(BATCH, CLASSES, 22, 22, generator=torch.Generator().manual_seed(0)).cuda()
    codes = torch.nn.functional.interpolate(coarse, (WORK, WORK), mode="bilinear")
    log_probs = (2 * codes / codes.abs().max()).log_softmax(1)
    settings, seconds = CrfSettings(), []
    for _ in range(12):
        torch.cuda.synchronize()
        began = time.perf_counter()
        cuda_engine.refine_on_device(images, log_probs, settings)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[2:])  # the first runs compile the Triton kernels
    moved = settings.iterations * bytes_of_an_iteration(images, log_probs, settings)
    print("| CRF alone | photographs/s | bandwidth, GB/s (iterations alone, over the whole time) |")
    print("|---|---|---|")
    print(f"| {BATCH} of {WORK} x {WORK}, {CLASSES} classes | {BATCH / median:.0f} | {moved / median / 1e9:.0f} |")


def bytes_of_an_iteration(images: object, log_probs: object, settings: CrfSettings) -> int:
    """Count the bytes that the Triton kernels of one iteration read and write for the whole batch."""
    from stego_cli.crf import cuda_engine

    field = cuda_engine.MeanField(images, log_probs, settings)  # type: ignore[arg-type]
    pixels = field.photographs * field.height * field.width
    lattice, entries = field.bilateral.lattice, field.bilateral.pixels.numel()
    row = 4 * cuda_engine.row_width(field.unary.shape[1])
    vertices, axes = lattice.count, len(lattice.neighbours)
    total = pixels * row + entries * 8 + vertices * row  # splat: rows, an index and a weight for each entry
    total += -(-axes // 2) * 2 * vertices * row + axes * 8 * vertices  # blur: two axes a pass, neighbours' numbers
    total += vertices * row + entries * 8  # slice, within the update
    total += pixels * (2 * row + 4 * field.unary.shape[1])  # update: reads and writes probabilities, reads the unary
    total += field.stencil.weights.numel() * 4  # once for all photographs, if the cache holds them between these
    return total


if __name__ == "__main__":
    main()
