"""Time `stego segment` and the CRF on an NVIDIA GPU; all tables in one run of some minutes.

    python benchmarks/gpu.py                       6,000 JPEGs of 640 x 480, made of tests/photos
    python benchmarks/gpu.py --photos DIR --run RUN --count 20000
    python benchmarks/gpu.py --device cpu --count 4     only that the first table can be made

Up to 200 photographs of DIR are cut to 640 x 480, saved as JPEGs, and linked under --count names. The real command
segments them all: in float32 and float16, with and without the CRF, with each decoder that can be used, and in several
processes. Its time is that from its start to its end, less that of a run over 16 photographs. Five times a second
nvidia-smi reports how busy the GPU is. Without --run, a run of 27 classes is first trained on the photographs, in a few
steps.

The GPU's decoder and the CRF engine are then timed alone, the engine at the usual sizes, and its bandwidth counted:
each Triton kernel reads and writes each of its arguments once, whatever the caches save. benchmarks/host.py times the
rest.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from stego_cli.errors import UsageError
from stego_cli.images.decode import decode, work_size
from stego_cli.images.discover import find_photos
from stego_cli.inference.devices import providers
from stego_cli.inference.devices.decoders import open_decoder
from stego_cli.inference.session import Session
from stego_cli.machine import cores
from stego_cli.settings import CrfSettings

SIZE = 640, 480
DIFFERENT, FEW = 200, 16
CLASSES = 27
CRF_SIZES = ((32, 320, 320), (16, 322, 434), (8, 480, 640), (1, 320, 320))  # batch, height and width
PROCESSES = 4  # beside one


def main() -> None:
    """Make photographs and models, time the command, then its parts; print short tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, default=Path(__file__).parents[1] / "tests" / "photos")
    options.add_argument("--run", type=Path, help="a run to use; else one is trained in a few steps on the photographs")
    options.add_argument("--count", type=int, default=6_000)
    options.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    chosen = options.parse_args()
    on_gpu = chosen.device == "cuda"
    if on_gpu:
        refuse_without_gpu()
    print(f"{name_of_gpu() if on_gpu else 'CPU'}, {cores()} cores, {chosen.count} photographs\n")
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        different = make_photos(chosen.photos, root / "photos", chosen.count)
        make_photos(chosen.photos, root / "few", FEW)
        run = chosen.run
        if run is None:
            run = root / "run"
            stego("train", chosen.photos, "--out", run, "--classes", CLASSES, "--steps", 40)
        time_runs(run, root, chosen.count, on_gpu)
        if on_gpu:
            print(f"\nfloat16 has float32's class on {agreement(different, root):.3%} of pixels before the CRF.\n")
            time_decoder(different)
    if on_gpu:
        time_crf()


def time_runs(run: Path, root: Path, count: int, on_gpu: bool) -> None:
    """Print a row for each way to run the command."""
    print("| precision | CRF | decoder | processes | photographs/s | start, s | GPU busy, mean | median | memory, GB |")
    print("|---|---|---|---|---|---|---|---|---|")
    precisions = ("fp16", "fp32") if on_gpu else ("fp32",)
    decoders = ("cpu", "gpu") if on_gpu and why_no_decoder() is None else ("cpu",)
    for precision in precisions:
        stego("export-onnx", run, "--out", root / f"{precision}.onnx", "--precision", precision)
    for precision, crf, decoder, processes in product(precisions, ("--crf", "--no-crf"), decoders, (1, PROCESSES)):
        if processes > 1 and precision != "fp16":
            continue
        how = ("--model", root / f"{precision}.onnx", "--device", "cuda" if on_gpu else "cpu", crf)
        masks = root / f"{precision}{crf}{decoder}{processes}"
        start = watched([("segment", root / "few", "--out", f"{masks}few", *how, "--decoder", decoder)], on_gpu)[0]
        command = ("segment", root / "photos", "--out", masks, *how, "--decoder", decoder)
        parts = [(*command, "--shard", f"{part + 1}/{processes}") for part in range(processes)]
        seconds, busy, memory = watched(parts if processes > 1 else [command], on_gpu)
        print(
            f"| {precision} | {'yes' if crf == '--crf' else 'no'} | {decoder} | {processes} | "
            f"{max(count - FEW, 1) / max(seconds - start, 1e-3):.0f} | {start:.1f} | "
            f"{statistics.mean(busy):.0f}% | {statistics.median(busy):.0f}% | {max(memory) / 1024:.1f} |",
            flush=True,
        )


def name_of_gpu() -> str:
    """Return the GPU's name."""
    import torch

    return torch.cuda.get_device_name(0)


def why_no_decoder() -> str | None:
    """Return why photographs cannot be decoded on the GPU, or None."""
    try:
        open_decoder(0)
    except UsageError as error:
        return error.message
    return None


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


def watched(commands: list[tuple[object, ...]], on_gpu: bool) -> tuple[float, list[float], list[float]]:
    """Run commands of the tool side by side; return seconds, and samples of the GPU's load (%) and memory (MB)."""
    samples: list[str] = []
    with contextlib.ExitStack() as sampling:
        if on_gpu:
            sampling.enter_context(sampled(samples))
        began = time.perf_counter()
        with ThreadPoolExecutor(len(commands)) as pool:
            list(pool.map(lambda command: stego(*command), commands))
        seconds = time.perf_counter() - began
    numbers = [line.split(",") for line in samples if line.count(",") == 1] or [["0", "0"]]
    return seconds, [float(busy) for busy, _ in numbers], [float(memory) for _, memory in numbers]


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


def time_decoder(photos: list[Path]) -> None:
    """Print how many photographs the GPU decodes and resizes in a second, and how far they are from the CPU's."""
    import torch
    from torch.utils.dlpack import from_dlpack

    from stego_cli.inference.devices.resample import resized

    if (reason := why_no_decoder()) is not None:
        print(f"{reason}\n")
        return
    decoder = open_decoder(0)
    batch = [(photos * FEW)[index].read_bytes() for index in range(FEW)]
    size = work_size(*SIZE, 320, 14)

    def work() -> torch.Tensor:
        tensors = [from_dlpack(one) for one in decoder.decode(batch, 0)]
        return resized(torch.stack(tensors), size)

    seconds = median_of(work)
    expected = np.stack([decode(content, 320, 14).pixels for content in batch]).astype(int)
    apart = np.abs(work().cpu().numpy() - expected)
    print(
        "| decoder and resizing | photographs/s | values equal to the CPU's | largest difference |\n|---|---|---|---|"
    )
    print(f"| batches of {FEW} | {FEW / seconds:.0f} | {(apart == 0).mean():.1%} | {apart.max()} |\n")


def median_of(work: Callable[[], object]) -> float:
    """Return the median seconds of a call, its work on the GPU included."""
    import torch

    seconds = []
    for _ in range(12):
        torch.cuda.synchronize()
        began = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])  # the first ones compile and allocate


def time_crf() -> None:
    """Print the engine's photographs a second and its bandwidth, on soft probabilities."""
    import torch

    from stego_cli.crf import cuda_engine

    files = sorted((Path(__file__).parents[1] / "tests" / "photos").glob("*.jpg"))
    settings = CrfSettings()
    print("| CRF alone | photographs/s | bandwidth, GB/s (iterations alone, over the whole time) |\n|---|---|---|")
    for batch, height, width in CRF_SIZES:
        pictures = [ImageOps.fit(Image.open(file).convert("RGB"), (width, height)) for file in files]
        images = torch.tensor(np.stack([np.asarray(pictures[index % len(pictures)]) for index in range(batch)])).cuda()
        coarse = torch.randn(batch, CLASSES, 22, 22, generator=torch.Generator().manual_seed(0)).cuda()
        codes = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        log_probs = (2 * codes / codes.abs().max()).log_softmax(1)
        median = median_of(partial(cuda_engine.refine_on_device, images, log_probs, settings))
        moved = settings.iterations * bytes_of_an_iteration(images, log_probs, settings)
        print(
            f"| {batch} of {height} x {width}, {CLASSES} classes | {batch / median:.0f} | {moved / median / 1e9:.0f} |",
            flush=True,
        )


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
