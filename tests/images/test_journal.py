import os
from dataclasses import replace

import pytest

from stego_cli.errors import OutputError
from stego_cli.images.atomic import sha256
from stego_cli.images.discover import Photo
from stego_cli.images.journal import Entry, Journal, is_done, read_entries


@pytest.fixture
def photo(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"photograph")
    (tmp_path / "masks/a.png").write_bytes(b"mask")
    return Photo("a.jpg", "a.png")


@pytest.fixture
def entry(tmp_path, photo):
    stat = (tmp_path / "photos/a.jpg").stat()
    return Entry(
        photo.path,
        "done",
        stat.st_size,
        stat.st_mtime_ns,
        photo.mask,
        sha256(tmp_path / "masks/a.png"),
        pixels={0: 7, 3: 1},
    )


def reopened(file):
    with Journal(file) as journal:
        return journal


def done(tmp_path, photo):
    entries = read_entries([tmp_path / "journal"])
    return is_done(entries.get(photo.path), photo, tmp_path / "photos", tmp_path / "masks")


def test_an_entry_is_read_back_as_it_was_and_the_last_one_of_a_path_wins(tmp_path, entry):
    with Journal(tmp_path / "journal") as journal:
        journal.append(Entry("a.jpg", "failed", error="too dark"))
        journal.append(Entry(os.fsdecode(b"caf\xe9\n.jpg"), "failed", error="no"))
        journal.append(entry)
    read = reopened(tmp_path / "journal").entries
    assert read == {
        "a.jpg": entry,
        os.fsdecode(b"caf\xe9\n.jpg"): Entry(os.fsdecode(b"caf\xe9\n.jpg"), "failed", error="no"),
    }
    assert (tmp_path / "journal").read_bytes().count(b"\n") == 3


def test_of_several_journals_the_last_one_wins_and_only_the_own_one_is_written(tmp_path, entry):
    with Journal(tmp_path / "first") as journal:
        journal.append(entry)
        journal.append(Entry("b.jpg", "failed", error="no"))
    before = (tmp_path / "first").read_bytes()
    with Journal(tmp_path / "second", [tmp_path / "first", tmp_path / "missing"]) as journal:
        assert journal.entries["a.jpg"] == entry
        journal.append(Entry("a.jpg", "failed", error="no"))
        assert journal.entries["a.jpg"] == entry  # a run's own entries take no memory
    assert read_entries([tmp_path / "first", tmp_path / "second"])["a.jpg"].status == "failed"
    assert (tmp_path / "first").read_bytes() == before


def test_an_entry_is_on_disk_as_soon_as_it_is_added(tmp_path, entry):
    with Journal(tmp_path / "journal") as journal:
        journal.append(entry)
        assert reopened(tmp_path / "journal").entries == {"a.jpg": entry}


def test_entries_of_this_run_are_not_held_in_memory(tmp_path, entry):
    with Journal(tmp_path / "journal") as journal:
        journal.append(entry)
        assert journal.entries == {}


def test_a_photograph_is_done_only_while_it_and_its_mask_are_what_they_were(tmp_path, photo, entry):
    assert not done(tmp_path, photo)
    with Journal(tmp_path / "journal") as journal:
        journal.append(entry)
    assert done(tmp_path, photo)
    assert not done(tmp_path, Photo("a.jpg", "a.jpg.png"))
    original = tmp_path / "photos/a.jpg"
    os.utime(original, ns=(0, entry.mtime + 1))
    assert not done(tmp_path, photo)
    os.utime(original, ns=(0, entry.mtime))
    assert done(tmp_path, photo)
    (tmp_path / "masks/a.png").write_bytes(b"Mask")
    assert not done(tmp_path, photo)
    (tmp_path / "masks/a.png").unlink()
    assert not done(tmp_path, photo)


def test_a_failed_photograph_is_not_done(tmp_path, photo, entry):
    with Journal(tmp_path / "journal") as journal:
        journal.append(entry)
        journal.append(Entry("a.jpg", "failed", error="no"))
    assert not done(tmp_path, photo)


@pytest.mark.parametrize("kept", [0, 1, 50, 5000])
def test_a_torn_last_line_is_cut_off_and_what_is_added_after_it_is_readable(tmp_path, entry, kept):
    file = tmp_path / "journal"
    torn = (b'{"path": "' + b"x" * 9000)[:kept]
    with Journal(file) as journal:
        journal.append(entry)
    file.write_bytes(file.read_bytes() + torn)
    with Journal(file) as journal:
        assert journal.entries == {"a.jpg": entry}
        journal.append(Entry("b.jpg", "failed", error="no"))
    assert set(reopened(file).entries) == {"a.jpg", "b.jpg"}
    file.write_bytes(torn)
    assert reopened(file).entries == {}


def test_a_journal_that_cannot_be_written_is_an_output_error(tmp_path, entry):
    with pytest.raises(OutputError):
        Journal(tmp_path)
    with pytest.raises(OutputError), Journal(tmp_path / "no/folder"):
        pass


def test_a_photograph_whose_time_alone_has_changed_is_done(tmp_path, photo, entry):
    original = tmp_path / "photos/a.jpg"
    known = replace(entry, content=sha256(original))
    with Journal(tmp_path / "journal") as journal:
        journal.append(known)
    assert reopened(tmp_path / "journal").entries == {"a.jpg": known}
    os.utime(original, ns=(0, entry.mtime + 10**9))
    assert done(tmp_path, photo)
    original.write_bytes(b"photogripe")
    assert not done(tmp_path, photo)
    original.write_bytes(b"photograph and more")
    assert not done(tmp_path, photo)
    original.write_bytes(b"photograph")
    assert done(tmp_path, photo)
    original.unlink()
    assert not done(tmp_path, photo)


def test_a_journal_without_contents_is_read_as_before(tmp_path, photo, entry):
    with Journal(tmp_path / "journal") as journal:
        journal.append(entry)
    assert b"content" not in (tmp_path / "journal").read_bytes()
    assert done(tmp_path, photo)
    os.utime(tmp_path / "photos/a.jpg", ns=(0, entry.mtime + 10**9))
    assert not done(tmp_path, photo)


def test_a_journal_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(tmp_path):
    (tmp_path / "mine").write_bytes(b"no end of a line")
    (tmp_path / "journal").symlink_to("mine")
    with pytest.raises(OutputError, match="is a link"):
        Journal(tmp_path / "journal")
    assert (tmp_path / "mine").read_bytes() == b"no end of a line"
