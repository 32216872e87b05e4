"""A small part of the fuzzing of the readers; `benchmarks/fuzz_readers.py` does the rest."""

import pytest

from benchmarks import fuzz_readers


def test_damaged_pictures_are_read_or_refused_and_nothing_else():
    findings = fuzz_readers.fuzz(300, seed=7)
    assert findings.kept == []
    assert findings.outcomes.total() == 300
    assert findings.outcomes["read"] > 30
    assert findings.outcomes["refused"] > 100


BAD = """
import os, signal
from pathlib import Path
from stego_cli.errors import PhotoError

taken = []

def read(path):
    number = len(taken)
    taken.append(bytearray(0))
    if number == 0:
        raise PhotoError("no picture")
    raise ValueError("not turned into a refusal")

def dies(path):
    os.kill(os.getpid(), signal.SIGSEGV)

def greedy(path):
    taken.append(bytearray(b"x" * (450 << 20)))

def loud(path):
    os.write(2, b"a line that is nobody's\\n")
"""


@pytest.mark.parametrize(
    ("function", "outcomes"),
    [
        ("read", {"refused": 1, "traceback": 1}),
        ("dies", {"crash": 2}),  # another worker goes on
        ("greedy", {"memory": 2}),
        ("loud", {"printed": 2}),
    ],
)
def test_the_harness_finds_what_a_reader_must_not_do(tmp_path, monkeypatch, function, outcomes):
    (tmp_path / "bad_reader.py").write_text(BAD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    findings = fuzz_readers.fuzz(2, reader=f"bad_reader:{function}", keep=tmp_path / "kept")
    assert findings.outcomes == outcomes
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert kept == {name + end for name, _ in findings.kept for end in ("", ".txt")}
