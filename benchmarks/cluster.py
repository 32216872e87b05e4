"""What a cluster costs beside one machine, and what a tree of very many objects takes to list, divide and resume.

    python benchmarks/cluster.py overhead --model stego.onnx             1,000 photographs, local and Ray in turn
    python benchmarks/cluster.py listing                                 100 million simulated objects, 20 GB of disk
    python benchmarks/cluster.py listing --objects 2000000 --groups 0    all groups of fewer

`overhead` runs `stego segment` with either engine over the same photographs, crops of `tests/photos`, and compares the
masks. A run on Ray starts a cluster of this machine, and ends it; what that takes is printed apart, as the time of a
run over one photograph less that of the local engine. The local engine is timed before and after each run on Ray:
machines that others share change their speed by more than what is measured, so give `--rounds`.

`listing` writes a simulated listing of photographs and of their masks to a spool, then looks at groups of buckets as a
run does that is resumed: it reads the journal (in parts of 256 lines, written before), names masks, and compares.
Resident memory is the largest of the process until then. Linux only.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from PIL import Image

from stego_cli.images.journal import Entry
from stego_cli.inference.summary import Summary
from stego_cli.settings import SegmentSettings
from stego_cli.tasks.segment_tree import Plan
from stego_cli.trees.record import Record, put_journal
from stego_cli.trees.spool import Group, Spool
from stego_cli.trees.tree import Listed, Tree

PHOTOS = Path(__file__).parents[1] / "tests" / "photos"
SIZE = 320, 240
PART = 256  # lines of a part of the journal


def main() -> None:
    """Measure one of the two."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = options.add_subparsers(dest="kind", required=True)
    overhead_options = kinds.add_parser("overhead")
    overhead_options.add_argument("--model", type=Path, required=True)
    overhead_options.add_argument("--photographs", type=int, default=1000)
    overhead_options.add_argument("--workers", type=int, help="of `stego segment`")
    overhead_options.add_argument("--rounds", type=int, default=1, help="runs on Ray")
    listing_options = kinds.add_parser("listing")
    listing_options.add_argument("--objects", type=int, default=100_000_000)
    listing_options.add_argument("--groups", type=int, default=2, help="to look at; 0: all")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="stego-") as folder:
        if chosen.kind == "overhead":
            overhead(chosen, Path(folder))
        else:
            listing(chosen.objects, chosen.groups, Path(folder))


def overhead(chosen: argparse.Namespace, folder: Path) -> None:
    """Print what both engines take, and what of Ray's time is its start."""
    one, many = folder / "one", folder / "photos"
    make_photographs(one, 1)
    make_photographs(many, chosen.photographs)

    def seconds(engine: str, photos: Path, out: str) -> float:
        return run(engine, chosen.model, photos, folder / out, chosen.workers)

    start = seconds("ray", one, "one-ray") - seconds("local", one, "one-local")
    print(f"start of Ray: {start:.1f} s", flush=True)
    local, ray = [seconds("local", many, "local")], []
    for number in range(chosen.rounds):
        ray.append(seconds("ray", many, f"ray-{number}"))
        local.append(seconds("local", many, f"local-{number}"))
        print(f"{chosen.photographs} photographs: ray {ray[-1]:.1f} s; local {local[-2]:.1f} s before,", end=" ")
        print(f"{local[-1]:.1f} s after", flush=True)
    once = mean(local)
    print(f"overhead of Ray: {100 * (mean(ray) / once - 1):.1f} %, its start {100 * start / once:.1f} % among it")
    ours, theirs = (
        {file.name: file.read_bytes() for file in (folder / way).glob("*.png")} for way in ("local", "ray-0")
    )
    print(f"masks: {len(ours)}, the same bytes: {ours == theirs}")


def make_photographs(folder: Path, count: int) -> None:
    """Write crops of the photographs of the tests."""
    folder.mkdir()
    originals = [Image.open(file).convert("RGB") for file in sorted(PHOTOS.glob("*.jpg"))]
    for index in range(count):
        original = originals[index % len(originals)]
        across, down = original.width - SIZE[0], original.height - SIZE[1]
        left, top = 7 * index % max(1, across), 5 * index % max(1, down)
        original.crop((left, top, left + SIZE[0], top + SIZE[1])).save(folder / f"{index:05}.jpg", quality=90)


def run(engine: str, model: Path, photos: Path, out: Path, workers: int | None) -> float:
    """Segment with an engine; return the seconds that took, with the start of the command."""
    words = ["segment", photos, "--out", out, "--model", model, "--engine", engine]
    words += ["--workers", workers] if workers else []
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}  # Ray's workers are in other folders
    subprocess.run(
        [sys.executable, "-m", "stego_cli", *map(str, words)], check=True, capture_output=True, env=environment
    )
    return time.perf_counter() - started


def listing(count: int, groups: int, folder: Path) -> None:
    """Print what listing, dividing and resuming take, and in how much memory."""
    for name in ("spool", "masks"):
        (folder / name).mkdir()
    spool, out = Spool(folder / "spool"), Tree(str(folder / "masks"), "out")
    started = time.perf_counter()
    spool.add_photos(objects(count, ".jpg"))
    spool.add_masks(objects(count, ".png"))
    spooled = time.perf_counter() - started
    size = sum(file.stat().st_size for file in (folder / "spool").iterdir())
    print(f"{count} photographs and masks listed in {spooled:.0f} s, {2 * count / spooled:.0f}/s")
    print(f"spool {size / 1e9:.2f} GB, memory {resident():.0f} MB")
    looked, seconds = 0, 0.0
    for number, group in enumerate(spool.groups()):
        if groups and number == groups:
            break
        write_journal(group, out)
        clock = time.perf_counter()
        record = Record(out)
        record.load()
        plan = Plan(out, record, spool, SegmentSettings(folder, folder), Summary(0))
        todo = plan.of(group)
        seconds += time.perf_counter() - clock
        looked += len(group.photos)
        assert (len(todo), plan.summary.kept) == (0, len(group.photos))
        print(f"buckets {group.first} to {group.last}: {len(group.photos)} photographs, memory {resident():.0f} MB")
    print(f"{looked} photographs found done in {seconds:.1f} s, {looked / seconds:.0f}/s")


def objects(count: int, suffix: str) -> Iterator[Listed]:
    """Yield simulated files, a thousand in a folder."""
    for index in range(count):
        yield Listed(f"{index // 1000:06}/{index:09}{suffix}", 200_000, index, "0" * 32)


def write_journal(group: Group, out: Tree) -> None:
    """Write the parts of the journal that say that all of a group is done."""
    for start in range(0, len(group.photos), PART):
        those = group.photos[start : start + PART]
        put_journal(out, [done(file) for file in those])


def done(file: Listed) -> Entry:
    """Return the entry of a photograph that is done."""
    mask = f"{file.path[:-4]}.png"
    return Entry(file.path, "done", file.size, file.mtime, mask, "0" * 64, None, {0: 1}, "0" * 64, 200_000, "0" * 32)


def resident() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


if __name__ == "__main__":
    main()
