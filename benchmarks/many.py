"""Run `stego segment` over very many tiny photographs: does it start at once, and does its memory stay flat?

    python benchmarks/many.py                            100,000 photographs of 16 x 16
    python benchmarks/many.py --photographs 5000 --model stego.onnx

The photographs lie in folders of 1,000, half of them PNG, half JPEG. The model tells colours apart and costs next to
nothing, so that what is left is what the tool itself does for each photograph. Resident memory is that of the main
process (refining is off, so there is no other), read after each tenth of the run. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from stego_cli.doctor.sample_models import colour_model

FIRST = 1000  # photographs after which memory should have stopped growing


@dataclass
class Run:
    """What was seen of a run: exit code, seconds to the first mask and to the end, MB by number of masks."""

    code: int = -1
    first: float = 0.0
    seconds: float = 0.0
    resident: dict[int, float] = field(default_factory=dict)

    @property
    def grown(self) -> float:
        """MB gained between the first thousand masks and the last."""
        return self.resident[max(self.resident)] - self.resident[FIRST]


def main() -> None:
    """Make the photographs, segment them, print what was measured."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photographs", type=int, default=100_000)
    options.add_argument("--model", type=Path, help="a model to use in place of the colour one")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        make_photographs(root / "photos", chosen.photographs)
        model = chosen.model or root / "colours.onnx"
        if not chosen.model:
            model.write_bytes(colour_model())
        run = watch(root / "photos", root / "masks", model, chosen.photographs)
        again = watch(root / "photos", root / "masks", model, 0)
    print(f"exit code {run.code}, first mask after {run.first:.1f} s, {chosen.photographs / run.seconds:.0f} masks/s")
    for masks, megabytes in run.resident.items():
        print(f"{masks:9d} masks: {megabytes:7.1f} MB resident")
    print(f"grown by {run.grown:.1f} MB since the first {FIRST}")
    print(f"the same command again, nothing to do: exit code {again.code}, {again.seconds:.1f} s")


def make_photographs(folder: Path, count: int) -> None:
    """Fill `folder` with `count` photographs of 16 x 16, in folders of 1,000."""
    pictures = []
    for index in range(64):
        for kind in ("png", "jpg"):
            stream = io.BytesIO()
            colour = (index * 37 % 256, index * 91 % 256, index * 151 % 256)
            Image.new("RGB", (16, 16), colour).save(stream, "PNG" if kind == "png" else "JPEG")
            pictures.append((kind, stream.getvalue()))
    for index in range(count):
        kind, content = pictures[index % len(pictures)]
        file = folder / f"{index // 1000:03d}" / f"{index:06d}.{kind}"
        if index % 1000 == 0:
            file.parent.mkdir(parents=True)
        file.write_bytes(content)


def watch(photos: Path, out: Path, model: Path, expected: int) -> Run:
    """Run the command and follow its events."""
    words = ["segment", photos, "--out", out, "--model", model, "--res", 28, "--no-crf", "--device", "cpu", "--json"]
    run, started, masks = Run(), time.monotonic(), 0
    at = {FIRST, *(expected * tenth // 10 for tenth in range(1, 10)), expected - 10}  # it is still running then
    with subprocess.Popen(
        [sys.executable, "-m", "stego_cli", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        for line in process.stdout or ():
            if json.loads(line)["event"] != "photograph":
                continue
            masks += 1
            if masks == 1:
                run.first = time.monotonic() - started
            if masks in at:
                run.resident[masks] = resident(process.pid)
    run.code, run.seconds = process.returncode, time.monotonic() - started
    return run


def resident(process: int) -> float:
    """Return a process's resident memory in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1000


if __name__ == "__main__":
    main()
