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
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
SECONDS, MEGABYTES, A_PIXEL = 40.0, 400, 16  # for one input: time, and memory: as much, and bytes a pixel beside it
ADDRESS_SPACE = 6 << 30  # bytes of a worker: more than the largest picture that is read takes
READERS = {"photos": "__main__:read_photo", "labels": "stego_cli.images.ids:read_ids"}


def read_photo(path: Path) -> None:
    """Read a photograph as a run does; every third one as far as it goes."""
    from stego_cli.images.decode import decode, photo_size
    from stego_cli.reading import Reading

    photo_size(path)
    lenient = zlib.crc32(path.read_bytes()) % 3 == 0
    decode(path, 28, 14, Reading(accept_truncated=lenient))


# Mutations: each takes a picture and a generator of random numbers, and returns another.

LIBTIFF = re.compile(r"^[\w.]+: .*\n", re.MULTILINE)  # its own messages, which Pillow lets it print
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    4096,
    32767,
    32768,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
Mutation = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, most of them in the header."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        out[rng.randrange(min(len(out), rng.choice((64, 300, len(out)))))] = rng.randrange(256)
    return bytes(out)


def numbered(content: bytes, rng: random.Random) -> bytes:
    """Put a number that is often mishandled somewhere."""
    size, letter = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    if len(content) < size:
        return content
    at = rng.randrange(min(len(content) - size + 1, rng.choice((64, 400, len(content)))))
    number = struct.pack(rng.choice("<>") + letter, rng.choice(NUMBERS) % (1 << 8 * size))
    return content[:at] + number + content[at + size :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """Take away the end, or a part."""
    if rng.random() < 0.6:
        return content[: rng.randrange(len(content))]
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.randrange(1, 200) :]


def repeated(content: bytes, rng: random.Random) -> bytes:
    """Repeat a part somewhere."""
    start, at = rng.randrange(len(content)), rng.randrange(len(content))
    return content[:at] + content[start : start + rng.randrange(1, 400)] * rng.choice((1, 1, 2, 50)) + content[at:]


def png_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change, drop, repeat or move chunks, or add some, with the checksums right."""
    parts, at = [], 8
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        parts.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if not parts:
        return flipped(content, rng)
    index = rng.randrange(len(parts))
    kind, body = parts[index]
    what = rng.randrange(6)
    if what == 0:
        parts[index] = kind, flipped(body, rng) if body else bytes(5)
    elif what == 1:
        parts[index] = kind, numbered(body, rng)
    elif what == 2:
        del parts[index]
    elif what == 3:
        parts.insert(rng.randrange(len(parts)), (kind, body))
    elif what == 4:
        added = rng.choice((b"iCCP", b"zTXt", b"iTXt", b"tEXt", b"eXIf", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"gAMA"))
        text = b"a\0\0" + zlib.compress(rng.randbytes(9) + bytes(rng.choice((5, 3_000_000))))
        parts.insert(rng.randrange(1, len(parts) + 1), (added, rng.choice((text, rng.randbytes(30), b""))))
    else:
        raw = rng.choice((b"", bytes(10), bytes(2_000_000), rng.randbytes(3000)))
        parts = [(kind, zlib.compress(raw) if kind == b"IDAT" else body) for kind, body in parts]
    return content[:8] + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


def jpeg_segments(content: bytes, rng: random.Random) -> bytes:
    """Change, drop, repeat or add segments."""
    parts, at = [], 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        parts.append(content[at:end])
        at = end
        if parts[-1][1] == 0xDA:
            break
    rest = content[at:]
    if not parts:
        return content
    index, what = rng.randrange(len(parts)), rng.randrange(5)
    body = parts[index][4:]
    if what == 0 and body:
        changed = flipped(body, rng) if rng.random() < 0.5 else numbered(body, rng)
        parts[index] = parts[index][:2] + struct.pack(">H", len(changed) + 2) + changed
    elif what == 1:
        parts[index] = parts[index][:2] + struct.pack(">H", rng.choice(NUMBERS) % 65536) + body
    elif what == 2:
        del parts[index]
    elif what == 3:
        parts += [parts[index]] * rng.choice((1, 1, 300))
    else:
        marker, added = rng.choice((0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xDD)), rng.randbytes(rng.choice((2, 20, 3000)))
        start = rng.choice((b"Exif\0\0", b"MPF\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0", b"Adobe", b""))
        parts.insert(0, bytes([0xFF, marker]) + struct.pack(">H", len(start + added) + 2) + start + added)
    return content[:2] + b"".join(parts) + rest


def tiff_tags(content: bytes, rng: random.Random) -> bytes:
    """Change the entries of the first directory: number, type, count, value."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    offset, entry = ("Q", 20) if big else ("I", 12)
    try:
        (at,) = struct.unpack_from(f"{order}{offset}", content, 8 if big else 4)
        (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", content, at)
    except (struct.error, OverflowError):
        return flipped(content, rng)
    out, at = bytearray(content), at + (8 if big else 2)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = at + rng.randrange(max(1, min(count, 40))) * entry
        value = rng.choice(NUMBERS)
        size = 8 if big else 4
        field, where = rng.choice((("H", 0), ("H", 2), (offset, 4), (offset, 4 + size), ("H", 4 + size)))
        try:
            struct.pack_into(f"{order}{field}", out, place + where, value % (1 << 8 * struct.calcsize(f"={field}")))
        except (struct.error, OverflowError):
            break
    return bytes(out)


def boxes(content: bytes, rng: random.Random) -> bytes:
    """Change, drop or repeat a box of an ISO file (HEIC, AVIF, JPEG 2000), at any depth."""
    found: list[tuple[int, int]] = []

    def walk(start: int, end: int, depth: int) -> None:
        while start + 8 <= end and depth < 8:
            size, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
            if size < 8 or start + size > end or not kind.replace(b" ", b"").isalnum():
                return
            found.append((start, size))
            inner = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"iinf": 14, b"jp2h": 8, b"moov": 8}.get(kind)
            if inner:
                walk(start + inner, start + size, depth + 1)
            start += size

    walk(0, len(content), 0)
    if not found:
        return numbered(content, rng)
    start, size = rng.choice(found)
    body, what = content[start + 8 : start + size], rng.randrange(5)
    if what == 0:
        return content[:start] + struct.pack(">I", rng.choice(NUMBERS)) + content[start + 4 :]
    if what == 1:
        return content[:start] + content[start + size :]
    if what == 2:
        return content[:start] + content[start : start + size] * rng.choice((2, 30)) + content[start + size :]
    changed = body and (flipped(body, rng) if what == 3 else numbered(body, rng))
    return content[: start + 8] + changed + content[start + size :]


def riff_chunks(content: bytes, rng: random.Random) -> bytes:
    """Change, drop or repeat a chunk of a WebP."""
    parts, at = [], 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        parts.append((content[at : at + 4], content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    if not parts:
        return flipped(content, rng)
    index, what = rng.randrange(len(parts)), rng.randrange(5)
    kind, body = parts[index]
    if what == 0:
        parts[index] = kind, flipped(body, rng) if body else b"12"
    elif what == 1:
        parts[index] = kind, numbered(body, rng)
    elif what == 2:
        del parts[index]
    elif what == 3:
        parts.insert(rng.randrange(len(parts)), (kind, body))
    else:
        parts.append((rng.choice((b"EXIF", b"ICCP", b"XMP ", b"ANMF", b"ALPH")), rng.randbytes(40)))
    out = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for kind, body in parts
    )
    return b"RIFF" + struct.pack("<I", len(out)) + out


def words(content: bytes, rng: random.Random) -> bytes:
    """Change a number of a header that is text."""
    head, rest = content[:40].split() or [b""], content[40:]
    head[rng.randrange(len(head))] = rng.choice(
        (b"0", b"-1", b"99999", b"65536", b"#", b"1e9", b"", str(2**40).encode())
    )
    return b" ".join(head) + rest


GENERAL: tuple[Mutation, ...] = (flipped, numbered, cut, repeated)
STRUCTURED: dict[bytes, Mutation] = {  # by a picture's first bytes
    b"\x89PNG": png_chunks,
    b"\xff\xd8": jpeg_segments,
    b"II": tiff_tags,
    b"MM": tiff_tags,
    b"RIFF": riff_chunks,
    b"\0\0\0": boxes,
    b"P": words,
}


def mutated(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return a picture changed once to three times."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not content:
            break
        structured = next((change for head, change in STRUCTURED.items() if content.startswith(head)), None)
        roll = rng.random()
        if structured is not None and roll < 0.6:
            content = structured(content, rng)
        elif roll < 0.95:
            content = rng.choice(GENERAL)(content, rng)
        else:  # another picture's head or tail
            other = rng.choice(others)
            at = rng.randrange(min(len(other), len(content)))
            content = content[:at] + other[at:]
    return content


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


def fuzz(inputs: int, seed: int = 0, reader: str = "photos", keep: Path | None = None) -> Findings:
    """Read mutated pictures.

    Args:
        inputs: how many.
        seed: of the mutations.
        reader: a key of `READERS`, or "module:function" of one that takes a Path and raises PhotoError.
        keep: folder for the inputs that are findings; None: they are not kept.
    """
    pictures = runpy.run_path(str(ROOT / "tests/support/pictures.py"))["samples"]()
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
