"""`stego import-checkpoint` on files that would take all time or memory: refused in a sentence, soon."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile

import pytest

MARK, DICT, TUPLE2, TUPLE1 = pickle.MARK, pickle.EMPTY_DICT, pickle.TUPLE2, pickle.TUPLE1
NONE, SETITEM, SETITEMS = b"N", pickle.SETITEM, pickle.SETITEMS


def program(*opcodes):
    return pickle.PROTO + b"\x04" + b"".join(opcodes) + pickle.STOP


def doubled(times):
    """A tuple of the tuple before, twice: a value of 2^times parts."""
    return pickle.EMPTY_TUPLE + (b"2" + TUPLE2) * times  # 2: DUP


def memoised(times):
    """The same through the memo instead of DUP."""
    return pickle.EMPTY_TUPLE + pickle.MEMOIZE + b"".join(b"h%c" % i + TUPLE2 + pickle.MEMOIZE for i in range(times))


def colliding(count):
    """Integers with one hash: multiples of the prime that Python's hash of a number is taken modulo."""
    prime = 2**61 - 1
    return b"".join(pickle.dumps(k * prime, 2)[2:-1] + NONE for k in range(1, count + 1))


PROGRAMS = {
    "a key of nested tuples": program(DICT, doubled(64), NONE, SETITEM),
    "the same through the memo": program(DICT, memoised(64), NONE, SETITEM),
    "the same in a set": program(pickle.EMPTY_SET, MARK, doubled(64), pickle.ADDITEMS),
    "the same in a frozenset": program(MARK, doubled(64), pickle.FROZENSET),
    "the same as keys of one call": program(MARK, doubled(64), NONE, pickle.DICT),
    "the same below a parameter": program(
        DICT, b"ctorch._utils\n_rebuild_parameter\n", doubled(64), TUPLE1, pickle.REDUCE, NONE, SETITEM
    ),
    "a key of tuples as deep as the stack": program(DICT, pickle.EMPTY_TUPLE + TUPLE1 * 400_000, NONE, SETITEM),
    "many large keys": program(
        DICT, MARK, *([doubled(16) + b"q\x00" + NONE] + [b"h\x00" + TUPLE1 + NONE] * 400), SETITEMS
    ),
    "keys of one hash": program(DICT, MARK, colliding(120_000), SETITEMS),
    "millions of steps": program(b"N0" * 2_000_000, NONE),
    "a huge program": program(pickle.BINBYTES + struct.pack("<I", 40_000_000) + bytes(40_000_000)),
}


# The command on one file after the other, in one process, since loading torch takes longer than all of them.
RUN = """
import contextlib, io, json, sys
from pathlib import Path
from stego_cli.app import app
import stego_cli.model.original

def resident(key):
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1000

for file in sys.argv[1:]:
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before, said = resident("VmRSS"), io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            app(["import-checkpoint", file, "--out", file + ".run"], prog_name="stego")
    except SystemExit as end:
        print(json.dumps([file, end.code, said.getvalue(), resident("VmHWM") - before]), flush=True)
"""


def with_pickle(file, content):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)


def with_huge_directory(file):
    """An archive whose directory of 3 GB is a hole in the file."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"N.")
    whole = bytearray(file.read_bytes())
    end = whole.rindex(b"PK\x05\x06")
    whole[end + 12 : end + 20] = struct.pack("<II", 3_000_000_000 - 4, 4)
    with file.open("wb") as stream:
        stream.write(whole[:end])
        stream.truncate(3_000_000_000)
        stream.seek(0, os.SEEK_END)
        stream.write(whole[end:])


def with_huge_entry(file):
    """An archive whose pickle of 2 GB is a hole in the file."""
    name, size = b"a/data.pkl", 2_000_000_000
    sizes = (33, 0, size, size, len(name))
    header = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 0, 0, *sizes, 0) + name
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, 0, 0, 0, *sizes, *[0] * 6) + name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), len(header) + size, 0)
    with file.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + size)
        stream.seek(0, os.SEEK_END)
        stream.write(entry + end)


OTHERS = {
    "a huge directory": with_huge_directory,
    "a huge entry": with_huge_entry,
    "a pipe": os.mkfifo,
    "a device": lambda file: file.symlink_to("/dev/zero"),
}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """Exit code, message and MB of added memory by kind."""
    folder = tmp_path_factory.mktemp("hostile")
    files = {kind: folder / f"{number}.ckpt" for number, kind in enumerate([*PROGRAMS, *OTHERS])}
    for kind, content in PROGRAMS.items():
        with_pickle(files[kind], content)
    for kind, make in OTHERS.items():
        make(files[kind])
    command = [sys.executable, "-c", RUN, *map(str, files.values())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in files.values())
    results = {file: result for file, *result in map(json.loads, ended.stdout.splitlines())}
    return {kind: results[str(file)] for kind, file in files.items()}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_pickle_that_takes_all_time_or_memory_is_refused(kind, refusals):
    code, said, memory = refusals[kind]
    assert code == 5
    assert "is damaged" in said
    assert "Traceback" not in said
    assert len(said) < 1000
    assert memory < 300


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("a huge directory", "is damaged: it has a part of 3000 MB"),
        ("a huge entry", "is damaged: data.pkl takes 2000 MB"),
        ("a pipe", "cannot be read: Not a regular file"),
        ("a device", "cannot be read: Not a regular file"),
    ],
)
def test_a_file_that_takes_all_time_or_memory_is_refused(kind, sentence, refusals):
    code, said, memory = refusals[kind]
    assert code == 5
    assert sentence in said
    assert memory < 300


def test_an_object_that_was_made_without_its_initialiser_is_no_checkpoint(tmp_path, stego):
    with_pickle(tmp_path / "bare.ckpt", program(b"cbuiltins\nobject\n", pickle.EMPTY_TUPLE, pickle.NEWOBJ))
    refused = stego("import-checkpoint", "bare.ckpt", "--out", "run")
    assert refused.returncode == 5
    assert "is not a checkpoint of the original STEGO" in refused.stderr
