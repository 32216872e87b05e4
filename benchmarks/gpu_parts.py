"""Parts of `stego segment` on an NVIDIA GPU, timed alone: precisions, decoder and CRF. benchmarks/gpu.py prints them.

On the CPU Pillow stands in for the decoder and Triton's interpreter for the GPU, at small sizes: that shows that all of
it runs, and its times mean nothing.
"""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.utils.dlpack import from_dlpack

from stego_cli.crf import cuda_engine
from stego_cli.errors import UsageError
from stego_cli.images.decode import decode, work_size
from stego_cli.inference.devices.decoders import DeviceDecoder, open_decoder
from stego_cli.inference.devices.gpu_pipeline import DevicePipeline
from stego_cli.inference.devices.resample import resized
from stego_cli.inference.session import Session
from stego_cli.settings import CrfSettings

BATCH = 16
CLASSES = 27
CRF_SIZES = ((32, 320, 320), (16, 322, 434), (8, 480, 640), (1, 320, 320))  # batch, height and width
CRF_SIZES_ON_CPU = ((2, 16, 24), (1, 12, 16))


class PillowDecoder:
    """Stands in for a decoder on a GPU."""

    def decode(self, contents: Sequence[bytes], stream: int) -> list[object | None]:
        """See `DeviceDecoder`."""
        return [np.array(ImageOps.exif_transpose(Image.open(io.BytesIO(each))).convert("RGB")) for each in contents]


def why_no_decoder() -> str | None:
    """Return why photographs cannot be decoded on the GPU, or None."""
    try:
        open_decoder(0)
    except UsageError as error:
        return error.message
    return None


def agreement(photos: list[Path], models: Path, device: str) -> float:
    """Return the share of pixels at work size with the same class in both precisions, without the CRF.

    Args:
        photos: files.
        models: folder with fp32.onnx and fp16.onnx.
        device: "cuda" or "cpu".
    """
    sessions = [Session.from_file(models / f"{precision}.onnx", device) for precision in ("fp32", "fp16")]
    pipelines = [DevicePipeline(session, "cluster", None) for session in sessions]
    same = total = 0
    for file in photos:
        pixels = decode(file, sessions[0].info.res, sessions[0].info.patch).pixels
        exact, half = (np.asarray(one.labels([pixels], [pixels.shape[1::-1]])[0]) for one in pipelines)
        same, total = same + int((exact == half).sum()), total + exact.size
    return same / total


def time_decoder(photos: list[Path], device: str) -> None:
    """Print how many photographs the GPU decodes and resizes in a second, and how far they are from the CPU's."""
    if device == "cuda" and (reason := why_no_decoder()) is not None:
        print(f"{reason}\n")
        return
    decoder: DeviceDecoder = open_decoder(0) if device == "cuda" else PillowDecoder()
    batch = [(photos * BATCH)[index].read_bytes() for index in range(BATCH)]
    with Image.open(photos[0]) as first:
        size = work_size(*first.size, 320, 14)

    def work() -> torch.Tensor:
        tensors = [from_dlpack(one) for one in decoder.decode(batch, 0)]
        return resized(torch.stack(tensors), size)

    seconds = median_of(work)
    expected = np.stack([decode(content, 320, 14).pixels for content in batch]).astype(int)
    apart = np.abs(work().cpu().numpy() - expected)
    print(
        "| decoder and resizing | photographs/s | values equal to the CPU's | largest difference |\n|---|---|---|---|"
    )
    print(f"| batches of {BATCH} | {BATCH / seconds:.0f} | {(apart == 0).mean():.1%} | {apart.max()} |\n")


def median_of(work: Callable[[], object]) -> float:
    """Return the median seconds of a call, its work on the GPU included."""
    seconds = []
    wait: Callable[[], object] = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    for _ in range(12 if torch.cuda.is_available() else 3):
        wait()
        began = time.perf_counter()
        work()
        wait()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[2:])  # the first ones compile and allocate


def time_crf(device: str) -> None:
    """Print the engine's photographs a second and its bandwidth, on soft probabilities.

    Each Triton kernel is taken to read and write each of its arguments once, whatever the caches save.
    """
    files = sorted((Path(__file__).parents[1] / "tests" / "photos").glob("*.jpg"))
    settings = CrfSettings()
    print("| CRF alone | photographs/s | bandwidth, GB/s (iterations alone, over the whole time) |\n|---|---|---|")
    for batch, height, width in CRF_SIZES if device == "cuda" else CRF_SIZES_ON_CPU:
        pictures = [ImageOps.fit(Image.open(file).convert("RGB"), (width, height)) for file in files]
        arrays = np.stack([np.asarray(pictures[index % len(pictures)]) for index in range(batch)])
        images = torch.tensor(arrays, device=device)
        coarse = torch.randn(batch, CLASSES, 22, 22, generator=torch.Generator().manual_seed(0)).to(device)
        codes = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        log_probs = (2 * codes / codes.abs().max()).log_softmax(1)
        median = median_of(partial(cuda_engine.refine_on_device, images, log_probs, settings))
        moved = settings.iterations * bytes_of_an_iteration(images, log_probs, settings)
        print(
            f"| {batch} of {height} x {width}, {CLASSES} classes | {batch / median:.0f} | {moved / median / 1e9:.0f} |",
            flush=True,
        )


def bytes_of_an_iteration(images: torch.Tensor, log_probs: torch.Tensor, settings: CrfSettings) -> int:
    """Count the bytes that the Triton kernels of one iteration read and write for the whole batch."""
    field = cuda_engine.MeanField(images, log_probs, settings)
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
