"""Feeds the readers damaged and hostile pictures, and counts what becomes of them.

    python benchmarks/fuzz_readers.py --inputs 20000
    python benchmarks/fuzz_readers.py --inputs 5000 --reader labels
    python benchmarks/fuzz_readers.py --inputs 5000 --reader some.module:function    # takes a Path, raises PhotoError

Each input is a small valid picture with its structure changed: header fields, chunk and box sizes, tags, truncations,
parts of other pictures. It is read in a process with limited memory and time. An input is fine if it is read or
refused with a PhotoError; it is a finding if the process dies, takes too long, takes too much memory, or raises
anything else. Findings are kept as files beside their reasons. The same seed gives the same inputs.

Without a finding, on two cores that other programs used too:

| reader | seed | inputs | read | refused | seconds | most memory | slowest |
|---|---|---|---|---|---|---|---|
| photos | 0 | 6000 | 1913 | 4087 | 235 | 126 MB | 4.3 s |
| photos | 2 | 8000 | 2576 | 5424 | 161 | 138 MB | 1.1 s |
| labels | 0 | 3000 | 55 | 2945 | 79 | 79 MB | 2.3 s |
| labels | 2 | 3000 | 38 | 2962 | 79 | 11 MB | 0.2 s |
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import re
import resource
import runpy
import select
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]
SECONDS, MEGABYTES, A_PIXEL = 40.0, 400, 16  # for one input: time, and memory: as much, and bytes a pixel beside it
ADDRESS_SPACE = 6 << 30  # bytes of a worker: more than the largest picture that is read takes
LIBTIFF = re.compile(r"^[\w.]+: .*\n", re.MULTILINE)  # its own messages, which Pillow lets it print
READERS = {"photos": "__main__:read_photo", "labels": "stego_cli.images.ids:read_ids"}


def read_photo(path: Path) -> None:
    """Read a photograph as a run does; every third one as far as it goes."""
    from stego_cli.images.decode import decode, photo_size
    from stego_cli.reading import Reading

    photo_size(path)
    lenient = zlib.crc32(path.read_bytes()) % 3 == 0
    decode(path, 28, 14, Reading(accept_truncated=lenient))


@dataclass
class Findings:
    """What became of the inputs.

    Attributes:
        outcomes: their number by what became of them: "read", "refused", or a kind of finding.
        kept: the files of findings, with their reasons.
        peak: megabytes that a worker held at most beyond what it held at its start; `slowest`: seconds of an input.
        seconds: in all.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[str, str]] = field(default_factory=list)
    peak: float = 0.0
    slowest: float = 0.0
    seconds: float = 0.0


class Worker:
    """A process that reads one file after the other."""

    def __init__(self, reader: str, errors: Path) -> None:
        command = [sys.executable, __file__, "--work", reader]
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        self._errors, self._told = errors, 0  # a pipe that nobody reads would block the process
        with errors.open("wb") as stderr:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
        self._answer(60)

    def read(self, path: Path) -> dict[str, str | float]:
        """Return what became of a file; a worker that died or was stopped answers no more."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(f"{path}\n".encode())
        stdin.flush()
        return self._answer(SECONDS)

    def _answer(self, seconds: float) -> dict[str, str | float]:
        stdout: IO[bytes] | None = self._process.stdout
        assert stdout is not None
        ready, _, _ = select.select([stdout], [], [], seconds)
        if not ready:
            self.end()
            return {"outcome": "hang", "reason": f"more than {seconds:g} s"}
        line = stdout.readline()
        if not line:
            code = self._process.wait()
            return {"outcome": "crash", "reason": f"exit code {code}\n{self.said()}"}
        answer: dict[str, str | float] = json.loads(line)
        return answer

    def said(self) -> str:
        """Return what came on standard error since the last call."""
        said = self._errors.read_bytes()[self._told :]
        self._told += len(said)
        return said.decode(errors="replace")[-2000:]

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def pixels_of(path: Path) -> int:
    """Return how many pixels a picture's header claims; 0 if it is refused."""
    from stego_cli.errors import PhotoError
    from stego_cli.images.readers.table import open_any

    try:
        with open_any(path) as picture:
            return picture.size[0] * picture.size[1]
    except PhotoError:
        return 0


def most_memory() -> float:
    """Return the megabytes that this process has held at most; `getrusage` would count what its parent held."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def work(reader: str) -> None:
    """Read the files whose paths come on standard input; a line of JSON for each."""
    module, function = READERS.get(reader, reader).split(":")
    read = getattr(importlib.import_module(module), function)
    from stego_cli.errors import PhotoError

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    start = most_memory()
    print(json.dumps({"outcome": "ready"}), flush=True)
    for line in sys.stdin:
        clock, reason = time.perf_counter(), ""
        try:
            read(Path(line.rstrip("\n")))
            outcome = "read"
        except PhotoError as error:
            outcome = "refused" if error.message.strip() and "\n" not in error.message else "reason"
            reason = error.message
        except Exception:
            outcome, reason = "traceback", traceback.format_exc()
        pixels = pixels_of(Path(line.rstrip("\n")))
        peak = most_memory() - start
        seconds = time.perf_counter() - clock
        print(
            json.dumps({"outcome": outcome, "reason": reason, "peak": peak, "pixels": pixels, "seconds": seconds}),
            flush=True,
        )


def support(name: str) -> dict[str, Any]:
    """Return what a module of the tests' support defines; from a script, `tests` cannot be imported."""
    return runpy.run_path(str(ROOT / f"tests/support/{name}.py"))


def fuzz(inputs: int, seed: int = 0, reader: str = "photos", keep: Path | None = None) -> Findings:
    """Read mutated pictures.

    Args:
        inputs: how many.
        seed: of the mutations.
        reader: a key of `READERS`, or "module:function" of one that takes a Path and raises PhotoError.
        keep: folder for the inputs that are findings; None: they are not kept.
    """
    pictures, mutated = support("pictures")["samples"](), support("damage")["mutated"]
    names, others = list(pictures), list(pictures.values())
    findings, started = Findings(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        worker, most = Worker(reader, Path(folder, "errors")), 0.0
        for index in range(inputs):
            rng = random.Random(f"{seed} {index}")
            name = names[index % len(names)]
            content = mutated(pictures[name], others, rng)
            path = Path(folder, "input.jpg")
            path.write_bytes(content)
            answer = worker.read(path)
            outcome, peak = str(answer["outcome"]), float(answer.get("peak", 0))
            most = max(most, MEGABYTES + A_PIXEL * float(answer.get("pixels", 0)) / 1e6)  # a worker's peak stays
            if peak > most:
                outcome = "memory" if outcome in ("read", "refused") else outcome
                answer["reason"] = f"{peak:.0f} MB; {answer['reason']}"
            if outcome in ("read", "refused") and (said := LIBTIFF.sub("", worker.said())):
                outcome, answer["reason"] = "printed", said
            findings.outcomes[outcome] += 1
            findings.peak = max(findings.peak, peak)
            findings.slowest = max(findings.slowest, float(answer.get("seconds", 0)))
            if outcome not in ("read", "refused"):
                findings.kept.append((f"{outcome}-{seed}-{index}-{name}", str(answer["reason"])))
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / findings.kept[-1][0]).write_bytes(content)
                    (keep / f"{findings.kept[-1][0]}.txt").write_text(findings.kept[-1][1])
                worker.end()
                worker, most = Worker(reader, Path(folder, "errors")), 0.0
        worker.end()
    findings.seconds = time.perf_counter() - started
    return findings


def main() -> None:
    """Fuzz, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", default="photos")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.work)
        return
    findings = fuzz(args.inputs, args.seed, args.reader, args.keep)
    for name, reason in findings.kept[:50]:
        print(f"{name}: {reason.strip().splitlines()[-1] if reason.strip() else ''}")
    print(f"{findings.outcomes.total()} inputs in {findings.seconds:.0f} s: {dict(findings.outcomes)}")
    print(f"most memory {findings.peak:.0f} MB, slowest {findings.slowest:.2f} s")
    sys.exit(bool(findings.kept))


if __name__ == "__main__":
    main()
