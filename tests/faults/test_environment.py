"""Environments that lack something: the command works, or says in one sentence what is missing and what to do."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.processes import PATIENCE

NOBODY = 54321  # a user's number that no table has
# Runs as a user of that number with the rights of the one who runs the tests.
AS_NOBODY = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
# What a process may do before the command takes its place.
ONE_CORE = "import os; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])"
EXEC = "import os, sys; os.execv(sys.executable, [sys.executable, '-m', 'stego_cli', *sys.argv[1:]])"
FULL_TMP = """
mkdir -p "$0" && mount -t tmpfs -o size=8k none "$0" || exit 77
cat /dev/zero > "$0/filler" 2> /dev/null
TMPDIR="$0" exec "$@"
"""


@pytest.fixture
def some(tmp_path, photos_folder):
    """Two small photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat.jpg", "lake.jpg"):
        shutil.copy(photos_folder / name, folder)
    return folder


def run(tmp_path, prelude, *words, without=(), inside=(), **env):
    """Run the command in a folder of its own, in an environment without some variables."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key not in without}
    command = [*inside, sys.executable, "-c", f"{prelude}\n{EXEC}", *map(str, words)]
    return subprocess.run(
        command, cwd=work, env={**kept, **env}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def masks(tmp_path):
    return sorted(path.name for path in (tmp_path / "work/masks").glob("*.png"))


def one_error(ended):
    assert "Traceback" not in ended.stderr
    (error,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    return error


def test_without_a_home(tmp_path, some, tiny_model):
    """A home that the system's table of users has is found; the masks need none."""
    ended = run(tmp_path, "", "segment", some, "--out", "masks", "--model", tiny_model, without=("HOME", "STEGO_CACHE"))
    assert ended.returncode == 0, ended.stderr
    assert masks(tmp_path) == ["cat.png", "lake.png"]


@pytest.fixture
def as_nobody():
    """The command that runs another one as a user that no table has; an empty one where the system forbids that."""
    try:
        allowed = subprocess.run([*AS_NOBODY, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return AS_NOBODY if allowed else []


def test_an_unknown_user_without_a_home(tmp_path, some, tiny_model, as_nobody):
    nameless = {"without": ("HOME", "STEGO_CACHE", "USER", "LOGNAME", "XDG_CACHE_HOME"), "inside": as_nobody}
    ended = run(tmp_path, "", "segment", some, "--out", "masks", "--model", tiny_model, "--no-crf", **nameless)
    assert ended.returncode == 0, ended.stderr
    assert masks(tmp_path) == ["cat.png", "lake.png"]
    if as_nobody:
        ended = run(tmp_path, "", "models", "pull", "focus-vits14", **nameless)
        assert ended.returncode == 6, ended.stderr
        assert "There is no home folder" in one_error(ended)
        assert "Set STEGO_CACHE to a folder that can be written" in ended.stderr
        ended = run(tmp_path, "", "doctor", "--no-self-test", **nameless)
        assert "Traceback" not in ended.stderr
        assert "Set STEGO_CACHE to a folder that can be written" in ended.stdout


def test_an_unknown_user_with_a_cache_trains(tmp_path, some, as_nobody, real_weights):
    words = ("train", some, "--out", "run", "--steps", 1, "--res", 56, "--classes", 2, "--block", 1)
    nameless = {"without": ("HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"), "inside": as_nobody}
    ended = run(tmp_path, "", *words, **nameless, STEGO_CACHE=str(real_weights.parents[1]))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("place", ["/proc/cache", "file/cache"])
def test_a_cache_that_cannot_be_made(tmp_path, stego, monkeypatch, place):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEGO_CACHE", place)
    ended = stego("models", "pull", "focus-vits14")
    assert ended.returncode == 6
    assert "cannot be kept in" in one_error(ended)
    assert "Set STEGO_CACHE" in ended.stderr
    ended = stego("doctor", "--no-self-test", "--json")
    (cache,) = [each for each in json.loads(ended.stdout)["findings"] if each["name"] == "cache"]
    assert cache["status"] == "warning"
    assert "STEGO_CACHE" in cache["remedy"]


def test_one_core(tmp_path, some, tiny_model):
    ended = run(tmp_path, ONE_CORE, "segment", some, "--out", "masks", "--model", tiny_model)
    assert ended.returncode == 0, ended.stderr
    assert masks(tmp_path) == ["cat.png", "lake.png"]
    ended = run(tmp_path, ONE_CORE, "doctor", "--no-self-test", "--json")
    (found,) = [each for each in json.loads(ended.stdout)["findings"] if each["name"] == "cores"]
    assert found["figures"]["cores"] == 1


@pytest.mark.parametrize("given", ["missing", "full"])
def test_no_room_for_temporary_files(tmp_path, some, tiny_model, given):
    """Masks need no temporary folder but MASKS itself, and what does need one says so."""
    place = tmp_path / "temporary"
    segment = ("segment", some, "--out", "masks", "--model", tiny_model)
    doctor = ("doctor", "--json")
    if given == "missing":
        ended, examined = (run(tmp_path, "", *words, TMPDIR=str(place)) for words in (segment, doctor))
    else:
        ended, examined = (in_full(tmp_path, place, *words) for words in (segment, doctor))
    assert ended.returncode == 0, ended.stderr
    assert masks(tmp_path) == ["cat.png", "lake.png"]
    assert "Traceback" not in examined.stderr
    assert json.loads(examined.stdout)["findings"]


def in_full(tmp_path, place, *words):
    """Run where TMPDIR is a full disk; where none may be made, in a folder that cannot be written."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "stego_cli", *map(str, words)]
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c", FULL_TMP, str(place), *command]
    try:
        ended = subprocess.run(inside, cwd=work, capture_output=True, text=True, timeout=PATIENCE, check=False)
        if ended.returncode != 77 and "unshare" not in ended.stderr:
            return ended
    except FileNotFoundError:
        pass  # a system without unshare
    return run(tmp_path, "", *words, TMPDIR="/proc")


def test_both_onnx_runtimes(tmp_path, stego, monkeypatch):
    """Their packages overwrite each other's files; the second is here by its metadata alone."""
    from importlib import metadata

    there = {name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(metadata, name)}
    other = ({"onnxruntime", "onnxruntime-gpu"} - there).pop()
    about = tmp_path / f"site/{other.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {other}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    ended = stego("doctor", "--no-self-test", "--json")
    (found,) = [each for each in json.loads(ended.stdout)["findings"] if each["name"] == "onnxruntime"]
    assert found["status"] == "warning"
    assert "both builds are installed" in found["text"]
    assert "pip uninstall onnxruntime onnxruntime-gpu" in found["remedy"]


def _installed(metadata, name):
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False
