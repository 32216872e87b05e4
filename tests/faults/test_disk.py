"""Disks that are full, read-only or cut off: the run ends with one sentence, and what is there stays whole."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from stego_cli.images.atomic import sha256
from tests.support.processes import PATIENCE

pytestmark = pytest.mark.slow


def noise(file, size, seed):
    """Write a picture whose mask does not compress well: `size` pixels a side."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(file)


def assert_masks_are_whole(out, journal):
    entries = [entry for entry in journal(out).values() if entry["status"] == "done"]
    for entry in entries:
        assert sha256(out / entry["mask"]) == entry["sha256"]
    assert not list(out.rglob("*.tmp"))
    return len(entries)


def limit(size):
    return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def test_a_mask_beyond_the_limit_of_a_files_size_ends_the_run_and_spoils_nothing(tmp_path, segment_after, journal):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    for index in range(6):
        noise(folder / f"a{index}.png", 40, index)
    noise(folder / "b.png", 400, 9)
    noise(folder / "c.png", 40, 10)
    result = segment_after(limit(6000), folder, out, "--res", 392)
    assert result.returncode == 6
    assert "b.png cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert assert_masks_are_whole(out, journal) >= 1
    assert not (out / "b.png").exists()
    assert segment_after("", folder, out, "--res", 392).returncode == 0
    assert assert_masks_are_whole(out, journal) == 8


def test_a_journal_beyond_the_limit_of_a_files_size_ends_the_run_and_is_taken_up_again(
    tmp_path, segment_after, journal
):
    folder, out = tmp_path / "photos", tmp_path / "masks"
    folder.mkdir()
    for index in range(30):
        Image.new("RGB", (8, 8), (10, 250, 10)).save(folder / f"{index}.png")
    result = segment_after(limit(2500), folder, out)
    assert result.returncode == 6
    assert "journal.jsonl cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    again = segment_after("", folder, out)
    assert again.returncode == 0
    assert "of 30 photographs have their masks already" in again.stderr
    assert assert_masks_are_whole(out, journal) == 30


# A file system of 100 kB in a name space of its own, which needs no rights on most systems. It may be filled before the
# run, or between a first run and the one that counts, when more photographs have come. What the run left on it is
# copied out before it vanishes.
SMALL_DISK = """
mkdir -p "$0" && mount -t tmpfs -o size=100k none "$0" || exit 77
if test "$FILLED" = between; then "$@" 2> /dev/null || exit 1; cp "$MORE"/* "$PHOTOS"; fi
test -n "$FILLED" && cat /dev/zero > "$0/filler" 2> /dev/null
"$@"
code=$?
cp -a "$0" "$0.copy"
exit $code
"""


THREAD = ("--no-crf", "--workers", "1")
PROCESSES = ("--res", "112", "--crf-engine", "pydensecrf", "--workers", "2", "--overlay")


def on_small_disk(disk, photos, model, how=THREAD, filled="", more=""):
    """Run on a small disk; where none may be made, under a limit of a file's size, which is the nearest thing."""
    command = [sys.executable, "-m", "stego_cli", "segment", photos, "--out", disk / "masks", "--model", model, *how]
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK, disk, *command]
    env = {**os.environ, "FILLED": filled, "PHOTOS": str(photos), "MORE": str(more)}
    try:
        result = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=PATIENCE, env=env)
        if result.returncode != 77 and "unshare" not in result.stderr:
            return result, disk.with_name(disk.name + ".copy") / "masks"
    except FileNotFoundError:
        pass  # a system without unshare
    if more:
        subprocess.run(list(map(str, command)), capture_output=True, check=True)
        shutil.copytree(more, photos, dirs_exist_ok=True)
    prelude = limit(0 if filled else 20_000)
    start = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    result = subprocess.run(
        [sys.executable, "-c", f"{prelude}\n{start}", *map(str, command[1:])], capture_output=True, text=True
    )
    return result, disk / "masks"


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(THREAD, id="a thread"),
        pytest.param(PROCESSES, id="processes and overlays", marks=pytest.mark.pydensecrf),
    ],
)
def test_a_full_disk_ends_the_run_and_the_same_command_goes_on_when_there_is_room(
    tmp_path, tiny_model, stego, journal, how
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(8):
        noise(folder / f"{index}.png", 100 if index < 4 else 600, index)
    result, out = on_small_disk(tmp_path / "disk", folder, tiny_model, how)
    assert result.returncode == 6, result.stderr
    assert "cannot be written: " in result.stderr
    assert "Traceback" not in result.stderr
    done = assert_masks_are_whole(out, journal)
    assert 1 <= done < 8
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert stego("segment", folder, "--out", out, "--model", tiny_model, *how).returncode == 0
    assert assert_masks_are_whole(out, journal) == 8
    assert sum(path.stat().st_mtime_ns == kept[path] for path in kept) >= done


def test_a_disk_that_is_full_before_the_start_is_refused_in_one_sentence(tmp_path, tiny_model, photos_folder):
    result, _ = on_small_disk(tmp_path / "disk", photos_folder, tiny_model, filled="before")
    assert result.returncode == 6, result.stderr
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_masks_of_an_earlier_run_stay_whole_on_a_disk_that_has_filled_up_since(tmp_path, tiny_model, journal):
    for index in range(8):
        folder = tmp_path / ("photos" if index < 4 else "more")
        folder.mkdir(exist_ok=True)
        noise(folder / f"{index}.png", 100, index)
    result, out = on_small_disk(
        tmp_path / "disk", tmp_path / "photos", tiny_model, filled="between", more=tmp_path / "more"
    )
    assert result.returncode == 6, result.stderr
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert assert_masks_are_whole(out, journal) >= 4
    assert {f"{index}.png" for index in range(4)} <= {path.name for path in out.glob("*.png")}


def test_standard_output_on_a_full_disk_ends_the_run_in_one_sentence(tmp_path, photos_folder, tiny_model):
    (tmp_path / "stego.onnx").write_bytes(tiny_model.read_bytes())
    with open("/dev/full", "w") as full:  # noqa: PTH123  (a device)
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "stego_cli",
                "segment",
                photos_folder,
                "--out",
                tmp_path / "masks",
                "--json",
                "--no-crf",
            ],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert result.returncode == 6
    assert "Standard output cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("out", ["file.txt/masks", "file.txt", "/proc/masks"])
def test_an_output_that_cannot_be_a_folder_is_refused_before_the_model_is_loaded(tmp_path, stego, photos_folder, out):
    (tmp_path / "file.txt").write_text("not a folder")
    (tmp_path / "garbage.onnx").write_text("not a model")  # reading it would end with another exit code
    result = stego("segment", photos_folder, "--out", out, "--model", "garbage.onnx")
    assert result.returncode == 6
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "file.txt").read_text() == "not a folder"


def test_a_read_only_folder_is_refused_before_the_model_is_loaded(tmp_path, as_ordinary_user, photos_folder):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks").chmod(0o555)
    (tmp_path / "garbage.onnx").write_text("not a model")
    for out in (tmp_path / "masks", tmp_path / "masks/below"):
        result = as_ordinary_user(photos_folder, out, "--model", tmp_path / "garbage.onnx")
        assert result.returncode == 6
        assert "cannot be written: Permission denied" in result.stderr
    assert not list((tmp_path / "masks").iterdir())


def test_a_folder_of_masks_that_is_closed_costs_only_its_own_photographs(tmp_path, as_ordinary_user, photos_folder):
    for name in ("a/cat.jpg", "b/lake.jpg", "wren.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos_folder / name.rpartition("/")[2], tmp_path / "photos" / name)
    (tmp_path / "masks/a").mkdir(parents=True)
    (tmp_path / "masks/a").chmod(0o555)
    result = as_ordinary_user(tmp_path / "photos", tmp_path / "masks")
    assert result.returncode == 3
    assert "a/cat.png cannot be written: Permission denied" in result.stderr
    assert sorted(file.name for file in (tmp_path / "masks").rglob("*.png")) == ["lake.png", "wren.png"]
