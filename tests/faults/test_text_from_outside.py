"""Streams that take nothing or only ASCII, and names that would steer a terminal or a page."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from stego_cli.text import displayed

NAMES = (r"[link=http://x]evil\[/x]", "fl\u202euss \u2066x\u2069", "stra\u00dfe \u4e2d", "x" * 2_000_000)


@pytest.fixture
def words(tmp_path):
    for folder in ("pred", "gt"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10) % 4).save(tmp_path / folder / "a.png")
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    return ["score", "--pred", "pred", "--gt", "gt", "--classes", "names.txt", "--workers", "1"]


def run(tmp_path, shell, *words, **env):
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "stego_cli", *words]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, env={**os.environ, **env}, timeout=120)


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_full_disk_behind_a_stream_costs_no_file_and_is_an_exit_code(tmp_path, words, stream):
    ended = run(tmp_path, f"{stream}>/dev/full", *words, "--json", "s.json", "--report", "r.html")
    assert ended.returncode == 6, ended.stderr
    assert b"Traceback" not in ended.stderr
    score = json.loads((tmp_path / "s.json").read_text())
    assert score["miou"] == 100
    assert [each["name"] for each in score["per_class"]] == list(NAMES)
    assert (tmp_path / "r.html").stat().st_size < 100_000
    if stream == "2":
        assert b"mIoU" in ended.stdout


@pytest.mark.parametrize("asked", [("--help",), ("--version",), ("segment", "--nonsense"), ("score", "--help")])
def test_help_and_usage_on_a_full_disk(tmp_path, asked):
    ended = run(tmp_path, ">/dev/full 2>/dev/full", *asked)
    assert ended.returncode == 6


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_names_beyond_ascii_are_written_with_replacements(tmp_path, words, env):
    ended = run(tmp_path, "", *words, **env)
    assert ended.returncode == 0, ended.stderr
    assert rb"stra\xdfe \u4e2d" in ended.stdout
    assert ended.stdout.isascii()


def test_names_are_text_everywhere(tmp_path, stego, words):
    ended = stego(*words, "--report", "r.html")
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    for text in (ended.stdout, page):
        assert NAMES[0] in text
        assert r"fl\u202euss \u2066x\u2069" in text
        assert "\u202e" not in text
        assert "\u2066" not in text
        assert len(text) < 100_000


def test_errors_are_events_too(stego):
    for words, code in (
        (("segment", "nowhere", "--out", "m", "--json"), 4),
        (("segment", "nowhere", "--out", "m", "--json", "--nonsense"), 2),
        (("segment", "nowhere", "--out", "m", "--batch-size", "0", "--json"), 2),
        (("score", "--pred", "nowhere", "--gt", "nowhere", "--json", "-"), 4),
    ):
        ended = stego(*words)
        assert ended.returncode == code
        event = json.loads(ended.stdout.splitlines()[-1])
        assert event["event"] == "error"
        assert event["exit_code"] == code
        assert event["message"]


def test_what_steers_is_escaped_and_what_is_long_is_cut():
    assert displayed("a\nb\x1b[31m\u202e\u2028\ufeff\x85") == r"a\nb\x1b[31m\u202e\u2028\ufeff\x85"
    assert displayed("na\u00efve \U0001f3de \ud800 caf\udce9") == "na\u00efve \U0001f3de \\ud800 caf\\udce9"
    assert displayed("x" * 1000, 20) == "x" * 13 + "\u2026" + "x" * 6
