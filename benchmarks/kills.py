"""Kill `stego segment` at random moments, resume it each time, and hold the masks against those of a quiet run.

    python benchmarks/kills.py --photos DIR                               20 kills, a model that tells colours apart
    python benchmarks/kills.py --photos DIR --model stego.onnx --kills 50 --seed 7
    python benchmarks/kills.py --photos DIR --crf-engine pydensecrf       what is not known here goes to `stego segment`

SIGKILL goes to the main process alone; its workers must see for themselves. How many masks a run may finish before it
is killed is drawn so that the work lasts until the last kill; where that is none, the kill falls on the start of the
command. A hundred photographs leave enough for the last of twenty kills. After every kill:

- each mask that is there, and each that the journal calls done, has the bytes of the quiet run's;
- each mask that an earlier run had finished is the very file it was (its time has not changed).

In the end all masks are there, and no temporary file. The exit code is 1 where any of this fails.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from stego_cli.doctor.sample_models import colour_model


def main() -> None:
    """Make the quiet run, then the disturbed ones, and print what was seen."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photos", type=Path, required=True)
    options.add_argument("--model", type=Path)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    chosen, more = options.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        model = chosen.model or root / "colours.onnx"
        if not chosen.model:
            model.write_bytes(colour_model())
        words = ["segment", str(chosen.photos), "--model", str(model), *more]
        trial = Trial(words, root / "quiet", root / "disturbed")
        start, work = trial.quiet_run()
        print(f"quiet run: {len(trial.wanted)} masks, first after {start:.1f} s, the rest in {work:.1f} s", flush=True)
        moments = random.Random(chosen.seed)
        while trial.kills < chosen.kills:
            left = len(trial.wanted) - len(trial.finished)
            masks = moments.uniform(0, 2 * left / (chosen.kills - trial.kills + 1))
            pause = moments.random() * (work / len(trial.wanted) if masks >= 1 else start)
            trial.disturb(int(masks), pause)
        trial.finish()
    print(
        f"{trial.kills} kills, {trial.early} of them before the first new mask, {trial.torn} torn journal lines mended"
    )
    print(f"{len(trial.wanted)} masks, all of the quiet run's bytes; none made twice; nothing left behind")


def require(holds: bool, sentence: str) -> None:
    """End with exit code 1 and a sentence where something does not hold."""
    if not holds:
        raise SystemExit(f"FAILED: {sentence}")


@dataclass
class Trial:
    """One command, a folder that a quiet run fills, and one whose runs are killed.

    Attributes:
        wanted: bytes of each mask.
        finished: masks that the journal calls done, with their files' times.
        kills: so far; `early`: those before the first new mask; `torn`: those in the middle of a journal line.
    """

    words: list[str]
    quiet: Path
    out: Path
    wanted: dict[str, bytes] = field(default_factory=dict)
    finished: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    early: int = 0
    torn: int = 0

    def quiet_run(self) -> tuple[float, float]:
        """Make the masks that the disturbed runs must come to; return seconds to the first of them and from there."""
        began, first = time.monotonic(), None
        process = self._start(self.quiet)
        while process.poll() is None:
            if first is None and _lines(self.quiet):
                first = time.monotonic()
            time.sleep(0.01)
        ended = time.monotonic()
        require(process.returncode in (0, 3), f"the quiet run ended with {process.returncode}")
        self.wanted = _masks(self.quiet)
        require(bool(self.wanted) and first is not None, "the quiet run made no mask")
        first = first or ended
        return first - began, ended - first

    def disturb(self, masks: int, pause: float) -> None:
        """Start the command again, kill it `pause` seconds after that many new masks, and look at what is there."""
        before, journal = len(self.finished), self.out / ".stego/journal.jsonl"
        process = self._start(self.out)
        while masks and process.poll() is None and len(_lines(self.out)) < before + masks:
            time.sleep(0.005)
        try:
            process.wait(pause)
            killed = False
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed = True
        self.torn += journal.exists() and journal.read_bytes()[-1:] not in (b"", b"\n")
        self._look()
        self.kills += killed
        self.early += killed and len(self.finished) == before
        end = f"kill {self.kills:3d}" if killed else "ended by itself"
        print(f"{end}: {len(self.finished)} masks finished", flush=True)

    def finish(self) -> None:
        """Let the command come to its end."""
        code = self._start(self.out).wait()
        require(code in (0, 3), f"the last run ended with {code}")
        self._look()
        require(self.finished.keys() == self.wanted.keys(), "masks are missing")
        left = [path.name for path in self.out.rglob("*") if path.suffix == ".tmp"]
        require(not left, f"temporary files are left: {left}")
        names = {path.name for path in (self.out / ".stego").iterdir()}
        require(names == {path.name for path in (self.quiet / ".stego").iterdir()}, f"in .stego there are {names}")

    def _look(self) -> None:
        masks = _masks(self.out)
        for name, content in masks.items():
            require(content == self.wanted.get(name), f"{name} is not the quiet run's")
        for name, when in self.finished.items():
            require((self.out / name).stat().st_mtime_ns == when, f"{name} was finished, and made again")
        for entry in _lines(self.out):
            if entry["status"] == "done":
                require(entry["mask"] in masks, f"{entry['mask']} is done, says the journal, and is not there")
                self.finished[entry["mask"]] = (self.out / entry["mask"]).stat().st_mtime_ns

    def _start(self, out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "stego_cli", *self.words, "--out", str(out)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _masks(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.png")}


def _lines(out: Path) -> list[dict[str, str]]:
    """Return the journal's entries, less a last line that was torn."""
    journal = out / ".stego/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True) if journal.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


if __name__ == "__main__":
    main()
