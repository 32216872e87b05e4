"""Time `stego segment`, its decoder and its CRF on an NVIDIA GPU; all tables in one run of under five minutes.

    python benchmarks/gpu.py                       4,000 JPEGs of 640 x 480, made of tests/photos
    python benchmarks/gpu.py --photos DIR --run RUN --count 20000
    python benchmarks/gpu.py --device cpu --count 8     only that all of it runs; the figures mean nothing

Up to 200 photographs of DIR are cut to 640 x 480, saved as JPEGs, and linked under --count names. The real command
segments them all: in float16 with and without the CRF, with each decoder that can be used, in one process and in
several, and in float32. Its events tell when each mask is finished: the start is the time to the first, and the rate is
that after the first fifth of them. Five times a second nvidia-smi reports how busy the GPU is. The memory that it holds
is then watched over 500 photographs of different sizes. Without --run, a run of 27 classes is first trained on the
photographs, in a few steps. The GPU's decoder and the CRF engine are timed alone: benchmarks/gpu_parts.py.
benchmarks/host.py times the rest.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageOps

from stego_cli.errors import UsageError
from stego_cli.images.discover import find_photos
from stego_cli.inference.devices import providers
from stego_cli.machine import cores

SIZE = 640, 480
DIFFERENT, SIZES = 200, 500
CLASSES = 27
PROCESSES = 4, 8  # beside one


@dataclass
class Timed:
    """What a command did: when each mask was finished, and what the GPU reported.

    `masks` are seconds from the command's start; `busy` is the GPU's load in percent, and `memory` what it held in MB.
    """

    masks: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=lambda: [0.0])
    memory: list[float] = field(default_factory=lambda: [0.0])

    @property
    def rate(self) -> float:
        """Masks a second after the first fifth of them."""
        first = len(self.masks) // 5
        return (len(self.masks) - 1 - first) / max(self.masks[-1] - self.masks[first], 1e-9)


def main() -> None:
    """Make photographs and models, time the command, then its parts; print short tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "tests" / "photos")
    options.add_argument("--run", type=Path, help="a run to use; else one is trained in a few steps on the photographs")
    options.add_argument("--count", type=int, default=4_000)
    options.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    chosen = options.parse_args()
    began, device = time.perf_counter(), chosen.device
    if device == "cuda":
        refuse_without_gpu()
    else:
        os.environ |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}  # before anything imports Triton
    import gpu_parts  # beside this file

    print(f"{name_of_gpu() if device == 'cuda' else 'CPU'}, {cores()} cores, {chosen.count} photographs\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        different = make_photos(chosen.photos, root / "photos", chosen.count)
        run = chosen.run
        if run is None:
            run = root / "run"
            timed(("train", chosen.photos, "--out", run, "--classes", CLASSES, "--steps", 40, "--device", device))
        for precision in ("fp16", "fp32"):
            timed(("export-onnx", run, "--out", root / f"{precision}.onnx", "--precision", precision))
        time_runs(root, device, ["cpu"] if device == "cpu" or gpu_parts.why_no_decoder() else ["gpu", "cpu"])
        time_memory(chosen.photos, root, device, min(SIZES, chosen.count))
        same = gpu_parts.agreement(different, root, device)
        print(f"\nfloat16 has float32's class on {same:.3%} of pixels before the CRF.\n")
        gpu_parts.time_decoder(different, device)
    gpu_parts.time_crf(device)
    print(f"\nAll of this took {time.perf_counter() - began:.0f} s.")


def time_runs(root: Path, device: str, decoders: list[str]) -> None:
    """Print a row for each way to run the command."""
    print("| precision | CRF | decoder | processes | photographs/s | start, s | GPU busy, mean | median | memory, GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    ways = [("fp16", crf, decoder, 1) for crf in ("--crf", "--no-crf") for decoder in decoders]
    ways += [("fp16", crf, decoders[0], count) for crf in ("--crf", "--no-crf") for count in PROCESSES]
    ways += [("fp32", crf, decoders[0], 1) for crf in ("--crf", "--no-crf")]
    for precision, crf, decoder, processes in ways:
        masks = root / f"{precision}{crf}{decoder}{processes}"
        how = ("--model", root / f"{precision}.onnx", "--device", device, crf, "--decoder", decoder)
        found = timed(
            ("segment", root / "photos", "--out", masks, *how, "--processes", processes, "--json"), device == "cuda"
        )
        print(
            f"| {precision} | {'yes' if crf == '--crf' else 'no'} | {decoder} | {processes} | {found.rate:.0f} | "
            f"{found.masks[0]:.1f} | {statistics.mean(found.busy):.0f}% | {statistics.median(found.busy):.0f}% | "
            f"{max(found.memory) / 1024:.1f} |",
            flush=True,
        )


def time_memory(photos: Path, root: Path, device: str, count: int) -> None:
    """Print what the GPU held while photographs of different sizes were worked on."""
    make_photos(photos, root / "sizes", count, different=count)
    how = ("--model", root / "fp16.onnx", "--device", device, "--json")
    memory = timed(("segment", root / "sizes", "--out", root / "of sizes", *how), device == "cuda").memory
    quarters = [memory[len(memory) * part // 4 : len(memory) * (part + 1) // 4] or memory for part in range(4)]
    said = ", ".join(f"{max(quarter) / 1024:.2f}" for quarter in quarters)
    print(f"\nMemory over {count} photographs of different sizes, most in each quarter of the time: {said} GB.")


def name_of_gpu() -> str:
    """Return the GPU's name."""
    import torch

    return torch.cuda.get_device_name(0)


def refuse_without_gpu() -> None:
    """End with a sentence where the GPU cannot be used by all parts."""
    try:
        providers.choose("cuda")
    except UsageError as error:
        raise SystemExit(f"This benchmark needs an NVIDIA GPU. {error.message} {error.remedy}") from None
    from stego_cli.crf import cuda_engine

    if reason := cuda_engine.missing():
        raise SystemExit(f"This benchmark needs an NVIDIA GPU that torch and Triton can use: {reason}.")


def make_photos(source: Path, target: Path, count: int, different: int = 0) -> list[Path]:
    """Fill `target` with JPEGs, and return those that are different; with `different` so many of different heights."""
    target.mkdir()
    found = find_photos(source)
    files = [target / f"{number:06d}.jpg" for number in range(count)]
    made = files[: min(different or min(DIFFERENT, len(found.photos)), count)]

    def make(number: int) -> None:
        width, height = SIZE
        with Image.open(found.root / found.photos[number % len(found.photos)].path) as opened:
            size = (width, 200 + number % SIZES) if different else (width, height)
            ImageOps.fit(opened.convert("RGB"), size).save(made[number], quality=90)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(make, range(len(made))))
    for number, file in enumerate(files[len(made) :]):
        file.hardlink_to(made[number % len(made)])
    return made


def timed(words: tuple[object, ...], on_gpu: bool = False) -> Timed:
    """Run a command of the tool to its end."""
    found, samples = Timed(), list[str]()
    with contextlib.ExitStack() as blocks:
        said = blocks.enter_context(tempfile.TemporaryFile("w+"))
        if on_gpu:
            blocks.enter_context(sampled(samples))
        command = [sys.executable, "-m", "stego_cli", *map(str, words)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as running:
            assert running.stdout is not None
            for line in running.stdout:
                if line.startswith('{"event": "photograph"'):
                    found.masks.append(time.perf_counter() - began)
        if running.returncode != 0:
            said.seek(0)
            raise SystemExit(f"stego {words[0]} ended with {running.returncode}:\n{said.read()}")
    numbers = [line.split(",") for line in samples if line.count(",") == 1]
    if numbers:
        found.busy, found.memory = [float(busy) for busy, _ in numbers], [float(memory) for _, memory in numbers]
    return found


@contextlib.contextmanager
def sampled(samples: list[str]) -> Iterator[None]:
    """Add what nvidia-smi reports to `samples`."""
    import torch

    query = "--query-gpu=utilization.gpu,memory.used"
    gpu = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
    command = ["nvidia-smi", f"--id={gpu}", query, "--format=csv,noheader,nounits", "--loop-ms=200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
        assert sampler.stdout is not None
        reader = threading.Thread(target=lambda lines: samples.extend(lines), args=(sampler.stdout,))
        reader.start()
        yield
        sampler.terminate()
        reader.join()


if __name__ == "__main__":
    main()
