import errno
import os
import pickle
from pathlib import Path

import pytest

from stego_cli.errors import OutputError, PhotoError, RefusedNameError
from stego_cli.images.atomic import open_own, remove_leftovers, require_writable, sha256, write_bytes, write_new
from stego_cli.text import shown


def test_a_file_is_written_whole_in_a_folder_that_is_made(tmp_path):
    target = tmp_path / "x/y/a.png"
    write_bytes(target, b"content", tmp_path)
    assert target.read_bytes() == b"content"
    write_bytes(target, b"other")
    assert target.read_bytes() == b"other"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.png"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path):
    (tmp_path / "original").write_bytes(b"original")
    (tmp_path / "a.png").symlink_to(tmp_path / "original")
    write_bytes(tmp_path / "a.png", b"mask")
    assert (tmp_path / "original").read_bytes() == b"original"
    assert (tmp_path / "a.png").read_bytes() == b"mask"


def test_a_new_file_takes_the_place_of_a_hard_link_and_is_not_written_through(tmp_path):
    assert write_new(f"{tmp_path}/a", (b"ori", b"", b"ginal")) == 8
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert write_new(f"{tmp_path}/b", ()) == 0
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"original", b"")


def test_what_cannot_be_written_is_an_output_error_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for target in (tmp_path / "folder", tmp_path / "file/a.png", tmp_path / ("a" * 300)):
        with pytest.raises(OutputError, match="cannot be written"):
            write_bytes(target, b"content", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_name_as_long_as_the_file_system_allows_is_written(tmp_path):
    write_bytes(tmp_path / ("a" * 255), b"content")
    assert (tmp_path / ("a" * 255)).read_bytes() == b"content"


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "x/y")
    assert not list((tmp_path / "x/y").iterdir())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        require_writable(tmp_path / "file/below")


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path):
    (tmp_path / ".stego-0123.tmp").write_bytes(b"half")
    (tmp_path / ".stego-discover-abc").mkdir()
    (tmp_path / ".stego-discover-abc/cache.bin").write_bytes(b"features")
    (tmp_path / "model.onnx").write_bytes(b"model")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_the_hash_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_any_path_is_shown_as_text_that_can_be_encoded():
    assert shown("naïve 🏞.jpg") == "naïve 🏞.jpg"
    assert shown(os.fsdecode(b"caf\xe9.jpg")) == r"caf\xe9.jpg"


def failing(monkeypatch, call, number):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, call, fail)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ])
@pytest.mark.parametrize("call", ["replace", "mkdir"])
def test_a_name_that_the_file_system_refuses_concerns_that_file_alone(tmp_path, monkeypatch, number, call):
    failing(monkeypatch, call, number)
    with pytest.raises(RefusedNameError, match="the file system refuses the name") as error:
        write_bytes(tmp_path / "a:b.png", b"content")
    assert isinstance(error.value, PhotoError)
    assert error.value.exit_code == OutputError.exit_code
    assert pickle.loads(pickle.dumps(error.value)).message == error.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES])
def test_what_every_further_file_would_meet_ends_the_run(tmp_path, monkeypatch, number):
    failing(monkeypatch, "replace", number)
    with pytest.raises(OutputError, match="cannot be written") as error:
        write_bytes(tmp_path / "a.png", b"content")
    assert not isinstance(error.value, PhotoError)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_refused_by_the_real_file_system(tmp_path):
    with pytest.raises(RefusedNameError):
        write_bytes(tmp_path / ("a" * 300), b"content")


def test_nothing_is_written_through_a_link_to_a_folder_below_the_output(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.png").write_bytes(b"mine")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/x").symlink_to(tmp_path / "elsewhere")
    for target in ("masks/x/a.png", "masks/x/y/a.png"):
        with pytest.raises(OutputError, match="is a link"):
            write_bytes(tmp_path / target, b"mask", below=tmp_path / "masks")
    assert (tmp_path / "elsewhere/a.png").read_bytes() == b"mine"
    write_bytes(tmp_path / "masks/z/a.png", b"mask", below=tmp_path / "masks")
    assert (tmp_path / "masks/z/a.png").read_bytes() == b"mask"


def test_a_file_of_our_own_is_neither_a_link_nor_a_pipe(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "hard").hardlink_to(tmp_path / "mine")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "broken", "hard", "pipe"):
        for flags in (os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            with pytest.raises(OutputError, match="is a link, or not a file"):
                open_own(tmp_path / name, flags)
    assert not (tmp_path / "nowhere").exists()
    os.close(open_own(tmp_path / "new", os.O_RDWR))
    assert (tmp_path / "new").read_bytes() == b""
