"""Time `stego segment` on a raster beside the same pixels as photographs, and hold its windows against each other.

    python benchmarks/rasters.py speed --side 2800                        a model that tells colours apart
    python benchmarks/rasters.py speed --side 1400 --picture mosaic.png --model stego.onnx
    python benchmarks/rasters.py speed --side 20000 --coarser 4 --picture mosaic.png --model stego.onnx
    python benchmarks/rasters.py sparse --side 60000                      a raster that is mostly empty
    python benchmarks/rasters.py tilings --picture mosaic.png --model stego.onnx --overlap 0.5

speed     the raster, and the same pixels as photographs of `--cut` pixels a side (by default 2,000) worked at the same
          scale, each by a process of its own: seconds, and the most memory that it had. With `--coarser` both are
          worked at so many times coarser than their pixels, the raster by `--res-ground`.
sparse    a raster of which one window in fifty has a value: seconds and the most memory.
tilings   the labels of a picture, and those of the same picture with a margin of half a window around it, so that all
          windows lie elsewhere: the share of pixels that agree, in all and within a patch of where windows meet; and
          how often labels change from one column to the next there and elsewhere. A box of a raster is no other tiling:
          its windows lie where they lie in the whole, and the script checks that its labels are the same.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import Affine
from rasterio.windows import Window

from stego_cli.doctor.sample_models import colour_model
from stego_cli.sources.rasters import LEAST_SIDE, OVERLAP
from stego_cli.sources.windows import starts

PATCH = 14
METRES = 0.5  # of a pixel
PROFILE = {
    "driver": "GTiff",
    "count": 3,
    "dtype": "uint8",
    "crs": "EPSG:32633",
    "transform": Affine(METRES, 0, 500_000, 0, -METRES, 5_000_000),
    "tiled": True,
    "compress": "deflate",
}


def main() -> None:
    """Run what was asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["speed", "sparse", "tilings"])
    options.add_argument("--side", type=int, default=2800)
    options.add_argument("--cut", type=int, default=2000)
    options.add_argument("--coarser", type=int, default=1)
    options.add_argument("--picture", type=Path)
    options.add_argument("--model", type=Path)
    options.add_argument("--overlap", type=float, default=OVERLAP / LEAST_SIDE)
    options.add_argument("--crf", action="store_true")
    chosen = options.parse_args()
    Image.MAX_IMAGE_PIXELS = None
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = chosen.model or root / "colours.onnx"
        if not chosen.model:
            model.write_bytes(colour_model())
        words = ["--model", str(model), "--device", "cpu", "--crf" if chosen.crf else "--no-crf"]
        if chosen.what == "sparse":
            sparse(root, chosen.side, words)
        elif chosen.what == "speed":
            speed(root, pixels_of(chosen.picture, chosen.side), chosen.cut, chosen.coarser, words)
        else:
            tilings(root, pixels_of(chosen.picture, None), chosen.overlap, words)


def pixels_of(picture: Path | None, side: int | None) -> np.ndarray:
    """Return a picture, repeated to `side` pixels or as it is; without one, squares of plain colours."""
    if picture is None:
        rows, columns = np.mgrid[: side or 1400, : side or 1400] // 90
        plain: np.ndarray = np.eye(3, dtype=np.uint8)[(rows * rows + columns) % 3] * 200
        return plain
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    if side is None:
        return pixels
    times = -(-side // min(pixels.shape[:2]))
    return np.tile(pixels, (times, times, 1))[:side, :side]


def write(file: Path, pixels: np.ndarray) -> None:
    """Write a raster."""
    with rasterio.open(file, "w", height=pixels.shape[0], width=pixels.shape[1], **PROFILE) as raster:
        raster.write(np.moveaxis(pixels, 2, 0))


@dataclass(frozen=True)
class Run:
    """A run of `stego segment`: seconds, those of the processor, and the most memory that it had in MB."""

    seconds: float
    cpu: float
    memory: float


def run(*words: object) -> Run:
    """Run `stego segment`."""
    started, before, memory = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN), 0.0
    command = [sys.executable, "-m", "stego_cli", "segment", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        memory = max(memory, most_memory(process.pid))
        time.sleep(0.1)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, memory)


def most_memory(pid: int) -> float:
    """Return the most memory that a process has had, in MB. Its parent's figure for it counts the parent's own too."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def speed(root: Path, pixels: np.ndarray, cut: int, coarser: int, words: list[str]) -> None:
    """Time a raster beside the same pixels as photographs."""
    write(root / "raster.tif", pixels)
    (root / "photos").mkdir()
    for top in range(0, pixels.shape[0], cut):
        for left in range(0, pixels.shape[1], cut):
            part = Image.fromarray(pixels[top : top + cut, left : left + cut])
            part.save(root / f"photos/{top}-{left}.png", compress_level=1)
    ground = ["--res-ground", METRES * coarser] if coarser > 1 else []
    raster = run(root / "raster.tif", "--out", root / "a", *ground, *words)
    photos = run(root / "photos", "--out", root / "b", "--res", min(cut, *pixels.shape[:2]) // coarser, *words)
    print(
        f"raster of {pixels.shape[1]} x {pixels.shape[0]}: {raster.seconds:.1f} s, {raster.cpu:.1f} s of processor; "
        f"most memory: {raster.memory:.0f} MB"
    )
    print(
        f"the same as photographs of {cut} x {cut}: {photos.seconds:.1f} s, {photos.cpu:.1f} s of processor; "
        f"the raster has {photos.seconds / raster.seconds:.0%} of their speed; {photos.cpu / raster.cpu:.0%} by that"
    )


def sparse(root: Path, side: int, words: list[str]) -> None:
    """Time a raster that is mostly empty."""
    rows, columns = np.mgrid[:600, :600] // 90
    block = np.moveaxis(np.eye(3, dtype=np.uint8)[(rows + columns) % 3] * 200 + 20, 2, 0)
    options = {**PROFILE, "sparse_ok": True, "bigtiff": "YES", "nodata": 0}
    filled = 0
    with rasterio.open(root / "sparse.tif", "w", height=side, width=side, **options) as raster:
        for top in range(0, side - 600, 4200):
            for left in range(0, side - 600, 4200):
                raster.write(block, window=Window(left, top, 600, 600))
                filled += 1
    made = run(root / "sparse.tif", "--out", root / "masks", *words)
    with rasterio.open(root / "masks/sparse.tif") as mask:
        assert mask.shape == (side, side)
        assert (mask.read(1, window=Window(4200, 4200, 600, 600)) != 255).all()
        assert (mask.read(1, window=Window(1000, 1000, 2000, 2000)) == 255).all()
    print(f"raster of {side} x {side}, {filled} with a value: {made.seconds:.0f} s, most memory {made.memory:.0f} MB")


def tilings(root: Path, pixels: np.ndarray, share: float, words: list[str]) -> None:
    """Compare the labels of windows with those of windows that lie elsewhere."""
    height, width = pixels.shape[:2]
    words = [*words, "--overlap", str(share)]
    margin = LEAST_SIDE * PATCH // 2
    write(root / "plain.tif", pixels)
    write(root / "wider.tif", np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect"))
    made = run(root / "plain.tif", "--out", root / "plain", *words)
    run(root / "wider.tif", "--out", root / "wider", *words)
    left, top = 500_000 + 0.5 * width / 4, 5_000_000 - 0.5 * height / 4
    box = f"{left},{top - 0.5 * height / 2},{left + 0.5 * width / 2},{top}"
    run(root / "plain.tif", "--out", root / "part", "--bbox", box, *words)
    labels, shifted, part = (
        rasterio.open(root / f"{name}/{file}.tif").read(1)
        for name, file in (("plain", "plain"), ("wider", "wider"), ("part", "plain"))
    )
    shifted = shifted[margin:-margin, margin:-margin]
    inner = labels[height // 4 : height // 4 + part.shape[0], width // 4 : width // 4 + part.shape[1]]
    side, overlap = LEAST_SIDE * PATCH, round(share * LEAST_SIDE * PATCH)
    meets = [np.array(starts(length, side, overlap)) for length in (height, width)]
    near = np.zeros((height, width), bool)
    for begins, axis in zip(meets, (0, 1), strict=True):
        for one, next_one in pairwise(begins):
            middle = (one + side + next_one) // 2
            index = [slice(None), slice(None)]
            index[axis] = slice(middle - PATCH, middle + PATCH)
            near[tuple(index)] = True
    same = labels == shifted
    changes = labels[:, 1:] != labels[:, :-1]
    print(f"{made.cpu:.0f} s of the processor for {width} x {height} pixels")
    print(f"windows elsewhere: {same.mean():.1%} of pixels agree, {same[near].mean():.1%} where windows meet")
    print(f"a box of it: {(inner == part).mean():.3%} of pixels agree")
    across = near[:, 1:] & near[:, :-1]
    print(
        f"labels change from one column to the next at {changes[across].mean():.2%} where windows meet, at "
        f"{changes[~across].mean():.2%} elsewhere"
    )


if __name__ == "__main__":
    main()
