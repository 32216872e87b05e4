"""What the command says, where: people read standard error, machines read standard output, pipes may close."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")


@pytest.fixture
def words(tmp_path, photos_folder, tiny_model):
    arguments = ["segment", photos_folder, "--out", tmp_path / "masks", "--model", tiny_model, "--no-crf"]
    return [sys.executable, "-m", "stego_cli", *map(str, arguments)]


def masks(tmp_path):
    return len(list((tmp_path / "masks").glob("*.png")))


def test_without_a_terminal_there_is_no_control_code_at_all(words, tmp_path):
    result = subprocess.run(words, capture_output=True, env={**os.environ, "TERM": "xterm-256color"})
    assert result.returncode == 0
    assert result.stdout == b""
    assert b"\x1b" not in result.stderr
    assert b"\r" not in result.stderr
    assert masks(tmp_path) == 13


def on_a_terminal(words, **env):
    """Return exit code and all bytes that a terminal gets on standard error."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **env}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how a terminal says that nobody writes to it any more
                break
            if not piece:
                break
            said += piece
        assert process.stdout.read() == b""
    os.close(ours)
    return process.returncode, said


def test_a_terminal_gets_colours_and_one_with_no_color_set_does_not(words):
    code, said = on_a_terminal([*words, "--overwrite"])
    assert code == 0
    assert COLOUR.search(said)
    code, said = on_a_terminal([*words, "--overwrite"], NO_COLOR="1")
    assert code == 0
    assert b"Segmenting" in said
    assert not COLOUR.search(said)


def test_json_puts_one_object_a_line_on_standard_output_and_nothing_else(words, tmp_path, photos_folder):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/caf\udce9.jpg").write_bytes(b"text")
    words[words.index(str(photos_folder))] = str(tmp_path / "bad")
    result = subprocess.run([*words, "--json"], capture_output=True)
    assert result.returncode == 3
    events = [json.loads(line) for line in result.stdout.decode("ascii").splitlines()]
    photograph = next(event for event in events if event["event"] == "photograph")
    assert photograph["path"] == r"caf\xe9.jpg"
    assert photograph["status"] == "failed"
    assert events[-1]["event"] == "summary"
    assert (events[-1]["photographs"], events[-1]["done"], events[-1]["failed"]) == (1, 0, 1)
    assert b"caf" in result.stderr  # people are told as well


@pytest.mark.parametrize("lines", [0, 1, 3])
def test_a_reader_of_events_that_goes_away_costs_no_mask(words, tmp_path, lines):
    with subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert b"Traceback" not in said
    assert b"Broken" not in said
    assert masks(tmp_path) == 13


def test_a_reader_of_messages_that_goes_away_costs_no_mask(words, tmp_path):
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        process.stderr.readline()
        process.stderr.close()
    assert process.returncode == 0
    assert masks(tmp_path) == 13


@pytest.mark.parametrize("closed", ["1", "2", "0"])
def test_a_stream_that_was_closed_before_the_start_costs_no_mask(words, tmp_path, closed):
    result = subprocess.run(["sh", "-c", f'exec "$@" {closed}>&-', "sh", *words, "--json"], capture_output=True)
    assert result.returncode == 0, result.stderr
    assert b"Traceback" not in result.stderr
    assert masks(tmp_path) == 13


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_a_plain_locale_reads_and_names_every_file(words, tmp_path, photos_folder, env):
    folder = tmp_path / "naïve 🏞"
    folder.mkdir()
    (folder / "lac d'été.jpg").write_bytes((photos_folder / "lake.jpg").read_bytes())
    (folder / "caf\udce9.jpg").write_bytes(b"text")
    words[words.index(str(photos_folder))] = str(folder)
    result = subprocess.run([*words, "--json"], capture_output=True, env={**os.environ, **env})
    assert result.returncode == 3
    assert b"Traceback" not in result.stderr
    assert (tmp_path / "masks/lac d'été.png").is_file()
    paths = [json.loads(line).get("path") for line in result.stdout.splitlines()]
    assert "lac d'été.jpg" in paths
    assert r"caf\xe9.jpg" in paths
