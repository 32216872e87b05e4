import os
import time
from pathlib import Path

import pytest

from stego_cli.errors import UsageError
from stego_cli.images.discover import Found, Photo
from stego_cli.inference.select import Selection, Shard, parse_since

PHOTOS = [Photo(f"{index:04}.jpg", f"{index:04}.png") for index in range(1000)]


def test_every_photograph_belongs_to_exactly_one_shard_and_shards_are_of_like_size():
    shards = [[photo for photo in PHOTOS if Shard(index, 8).holds(photo)] for index in range(1, 9)]
    assert sorted(photo.path for shard in shards for photo in shard) == [photo.path for photo in PHOTOS]
    assert all(90 < len(shard) < 160 for shard in shards)
    assert Shard(1, 1).holds(Photo(os.fsdecode(b"\xff.jpg"), "x.png"))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", "1/2/3", "/"])
def test_a_shard_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="I/N"):
        Shard.parse(text)


def test_a_shard_reads_as_it_is_written():
    assert Shard.parse("3/12") == Shard(3, 12)
    assert str(Shard(3, 12)) == "3/12"


def test_since_is_a_date_or_a_time_back():
    for text, seconds in (("2h", 7200), ("7d", 7 * 86400)):
        before = time.time()
        assert before - seconds <= parse_since(text) <= time.time() - seconds
    assert parse_since("2026-11-01") == time.mktime((2026, 11, 1, 0, 0, 0, 0, 0, -1))
    assert parse_since("2026-11-01T08:30") == time.mktime((2026, 11, 1, 8, 30, 0, 0, 0, -1))
    for text in ("yesterday", "7", "7y", "2026-13-01"):
        with pytest.raises(UsageError, match="since"):
            parse_since(text)


def test_what_has_changed_since_is_chosen_and_what_cannot_be_asked_too(tmp_path: Path):
    for name, age in (("old", 5000), ("new", 10)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    found = Found(tmp_path, [Photo(name, f"{name}.png") for name in ("gone", "new", "old")])
    assert [photo.path for photo in Selection(None, time.time() - 1000).of(found).photos] == ["gone", "new"]
    assert Selection.parse(None, None).of(found) == found
