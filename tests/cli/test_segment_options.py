"""`stego segment`: parts of a tree, looking before leaping, and what else can be kept."""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from stego_cli.inference.summary import STAGES


@pytest.fixture
def photos(tmp_path, photos_folder):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("cat", "heron", "lake", "wren", "home", "otters"):
        with Image.open(photos_folder / f"{name}.jpg") as photo:
            photo.resize((96, 64)).save(folder / f"{name}.png")
    return folder


def masks(out):
    return {path.name: path.read_bytes() for path in out.rglob("*.png")}


def summary(ended):
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(photos, tmp_path, stego, tiny_model):
    out = tmp_path / "masks"
    ended = stego("segment", photos, "--out", out, "--model", tiny_model, "--dry-run", "--json")
    assert ended.returncode == 0, ended.stderr
    told = summary(ended)
    assert (told["event"], told["photographs"], told["todo"], told["kept"]) == ("dry_run", 6, 6, 0)
    assert 0 < told["seconds"] < 60
    assert not out.exists()
    assert stego("segment", photos, "--out", out, "--model", tiny_model).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (photos / "lake.png").write_bytes((photos / "wren.png").read_bytes())
    told = summary(stego("segment", photos, "--out", out, "--model", tiny_model, "--dry-run", "--json"))
    assert (told["todo"], told["kept"]) == (1, 5)
    assert told["bytes"] > 50
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    people = stego("segment", photos, "--out", tmp_path / "other", "--dry-run")
    assert people.returncode == 0
    assert "discovered first" in people.stdout + people.stderr
    assert not (tmp_path / "other").exists()


def test_shards_together_give_what_one_run_gives_and_one_run_then_finds_all_done(photos, tmp_path, stego, tiny_model):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    stego("segment", photos, "--out", whole, "--model", tiny_model)
    done = []
    for index in (1, 2, 3):
        ended = stego("segment", photos, "--out", parts, "--model", tiny_model, "--shard", f"{index}/3", "--json")
        assert ended.returncode == 0, ended.stderr
        done.append(summary(ended)["done"])
    assert sum(done) == 6
    assert max(done) < 6
    assert masks(parts) == masks(whole)
    told = summary(stego("segment", photos, "--out", parts, "--model", tiny_model, "--json"))
    assert (told["done"], told["kept"]) == (0, 6)
    refused = stego("segment", photos, "--out", tmp_path / "new", "--shard", "1/2")
    assert refused.returncode == 2
    assert "--model" in refused.stderr
    assert not (tmp_path / "new").exists()


def test_shards_run_at_once_into_one_folder_but_not_beside_a_whole_run(photos, tmp_path, stego, tiny_model):
    from stego_cli.inference.output_folder import OutputFolder

    out = tmp_path / "masks"
    with OutputFolder(out, "1/2"):
        assert stego("segment", photos, "--out", out, "--model", tiny_model, "--shard", "2/2").returncode == 0
        for more in (("--shard", "1/2"), ()):
            refused = stego("segment", photos, "--out", out, "--model", tiny_model, *more)
            assert refused.returncode == 6
            assert f"process {os.getpid()} " in refused.stderr or more == ()
    with OutputFolder(out):
        refused = stego("segment", photos, "--out", out, "--model", tiny_model, "--shard", "2/2")
        assert refused.returncode == 6


def test_since_does_only_what_has_changed(photos, tmp_path, stego, tiny_model):
    for name in ("cat", "heron", "lake", "wren"):
        os.utime(photos / f"{name}.png", (time.time() - 5 * 86400,) * 2)
    ended = stego("segment", photos, "--out", tmp_path / "masks", "--model", tiny_model, "--since", "2d")
    assert ended.returncode == 0, ended.stderr
    assert set(masks(tmp_path / "masks")) == {"home.png", "otters.png"}
    assert stego("segment", photos, "--out", tmp_path / "x", "--since", "soon").returncode == 2


def test_retry_failed_does_only_what_failed_before(photos, tmp_path, stego, tiny_model):
    out, good = tmp_path / "masks", (photos / "lake.png").read_bytes()
    (photos / "lake.png").write_bytes(good[:500])
    assert stego("segment", photos, "--out", out, "--model", tiny_model).returncode == 3
    (photos / "lake.png").write_bytes(good)
    Image.new("RGB", (50, 40)).save(photos / "later.png")
    ended = stego("segment", photos, "--out", out, "--model", tiny_model, "--retry-failed", "--json")
    assert ended.returncode == 0, ended.stderr
    assert summary(ended)["done"] == 1
    assert (out / "lake.png").exists()
    assert not (out / "later.png").exists()


def test_kept_probabilities_lead_to_the_mask(photos, tmp_path, stego, tiny_model):
    out = tmp_path / "masks"
    command = ["segment", photos, "--out", out, "--model", tiny_model, "--keep-probabilities"]
    assert stego(*command).returncode == 0
    with np.load(out / "cat.probs.npz") as kept:
        values, size = kept["log_probs"], tuple(kept["size"])
        log_probs = values / -float(kept["steps"])
    assert values.dtype == np.uint8
    assert values.shape == (4, 56, 84)
    assert size == (96, 64)
    assert np.abs(np.exp(log_probs).sum(0) - 1).max() < 0.05
    mask = np.array(Image.open(out / "cat.png").resize((84, 56), Image.Resampling.NEAREST))
    assert (log_probs.argmax(0) == mask).mean() > 0.9
    (out / "cat.probs.npz").unlink()
    ended = stego(*command, "--json")
    assert summary(ended)["done"] == 1
    assert (out / "cat.probs.npz").exists()


def test_a_run_ends_where_less_than_min_free_is_free_and_goes_on_later(photos, tmp_path, stego, tiny_model):
    out = tmp_path / "masks"
    ended = stego("segment", photos, "--out", out, "--model", tiny_model, "--min-free", "1e9")
    assert ended.returncode == 6
    assert "--min-free" in ended.stderr
    (entry,) = (out / ".stego/journal.jsonl").read_text().splitlines()  # of the first photograph that was done
    assert json.loads(entry)["mask"] in masks(out)
    assert not list(out.rglob("*.tmp"))
    later = stego("segment", photos, "--out", out, "--model", tiny_model)
    assert later.returncode == 0
    assert "1 of 6 photographs have their masks already." in later.stderr
    assert len(masks(out)) == 6


def test_the_stage_that_took_the_most_time_is_named(photos, tmp_path, stego, tiny_model):
    ended = stego("segment", photos, "--out", tmp_path / "masks", "--model", tiny_model, "--json")
    told = summary(ended)
    assert set(STAGES) <= set(told["seconds"])
    assert told["seconds"][told["limit"]] == max(told["seconds"][stage] for stage in STAGES)


def test_a_large_photograph_is_worked_in_tiles(tmp_path, stego, tiny_model, photos_folder):
    (tmp_path / "photos").mkdir()
    with Image.open(photos_folder / "lake.jpg") as photo:
        photo.resize((1344, 952)).save(tmp_path / "photos/lake.png")
    command = ["segment", tmp_path / "photos", "--model", tiny_model, "--no-crf", "--res", "952"]
    assert stego(*command, "--out", tmp_path / "tiled").returncode == 0
    assert (1344 // 14) * (952 // 14) > 4300
    colours = np.array(Image.open(tmp_path / "photos/lake.png"), np.float32) * 0.1  # what the tiny model computes
    wanted = np.concatenate([colours, np.full((*colours.shape[:2], 1), 6.0)], 2).argmax(2)
    assert (np.array(Image.open(tmp_path / "tiled/lake.png")) == wanted).mean() > 0.999
