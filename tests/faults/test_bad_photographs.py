"""Photographs that cannot be used are named, and the others are done."""

import contextlib
import os
import struct
import zlib

import pytest
from PIL import Image

from stego_cli.images import decode
from stego_cli.images.readers.table import open_any


@pytest.fixture
def photos(tmp_path, photos_folder):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "good.jpg").write_bytes((photos_folder / "cat.jpg").read_bytes())
    return folder


def assert_only_good_is_done(result, folder, bad, reason):
    assert result.returncode == 3
    assert f"failed: {bad}: " in result.stderr
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in (folder.parent / "masks").glob("*.png")) == ["good.png"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", "the file is empty"),
        ("letter.jpg", b"Dear reader, I am a letter.\n", "not a picture"),
        ("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("IMG_1.JPG", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        ("raw.NEF", b"II*\0", "a camera's raw file"),
        ("page.jpg", b"%PDF-1.7\n", "not a picture but a PDF"),
    ],
)
def test_a_file_that_is_no_picture_is_listed_and_the_rest_is_done(photos, segment, name, content, reason):
    (photos / name).write_bytes(content)
    assert_only_good_is_done(segment(photos, "masks"), photos, name, reason)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("kept", [0.1, 0.9])
def test_a_truncated_picture_never_becomes_a_half_decoded_mask(photos, segment, photos_folder, suffix, kept):
    whole = photos / f"half.{suffix}"
    with Image.open(photos_folder / "lake.jpg") as image:
        image.save(whole)
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * kept)])
    assert_only_good_is_done(segment(photos, "masks"), photos, whole.name, "")


def test_a_picture_with_damaged_bytes_never_becomes_a_mask(photos, segment, photos_folder):
    with Image.open(photos_folder / "lake.jpg") as image:
        image.save(photos / "damaged.png")
    content = bytearray((photos / "damaged.png").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (photos / "damaged.png").write_bytes(content)
    assert_only_good_is_done(segment(photos, "masks"), photos, "damaged.png", "")


def test_a_header_of_a_billion_pixels_is_refused_before_the_memory_is_taken(photos, segment_after):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (photos / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    # The whole address space is less than the 10.8 GB that the pixels would take.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))"
    result = segment_after(limit, photos, photos.parent / "masks")
    assert_only_good_is_done(result, photos, "bomb.png", "more than 179 million pixels")


def test_a_named_pipe_is_passed_over_and_not_waited_for(photos, segment):
    os.mkfifo(photos / "pipe.jpg")
    (photos / "link.jpg").symlink_to("pipe.jpg")
    result = segment(photos, "masks")
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in (photos.parent / "masks").glob("*.png")) == ["good.png"]
    result = segment(photos / "pipe.jpg", "other")  # named by the user it fails, and does not wait either
    assert result.returncode == 3
    assert "failed: pipe.jpg: not a regular file" in result.stderr


def test_postscript_under_a_pictures_name_starts_no_interpreter(photos, segment, tmp_path, monkeypatch):
    marker, programs = tmp_path / "started", tmp_path / "bin"
    programs.mkdir()
    for name in ("gs", "gswin64c"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 60\n%%EndComments\nshowpage\n%%EOF\n"
    (photos / "a.jpg").write_bytes(script)
    binary = b"\xc5\xd0\xd3\xc6" + struct.pack("<IIIIIIH", 30, len(script), 0, 0, 0, 0, 0xFFFF)
    (photos / "b.png").write_bytes(binary + script)
    with Image.open(photos / "a.jpg") as image, contextlib.suppress(Exception):
        image.load()
    assert marker.exists(), "Pillow without a list of formats starts it: else this test shows nothing"
    marker.unlink()
    result = segment(photos, "masks")
    assert result.returncode == 3
    for name in ("a.jpg", "b.png"):
        assert f"failed: {name}: not a picture but PostScript" in result.stderr
    assert not marker.exists()


def test_an_unreadable_file_and_folder_are_reported(photos, as_ordinary_user, photos_folder):
    (photos / "shut").mkdir()
    for path in (photos / "secret.jpg", photos / "shut/inside.jpg"):
        path.write_bytes((photos_folder / "lake.jpg").read_bytes())
    (photos / "secret.jpg").chmod(0)
    (photos / "shut").chmod(0)
    try:
        result = as_ordinary_user(photos, photos.parent / "masks")
    finally:
        (photos / "shut").chmod(0o755)
    assert_only_good_is_done(result, photos, "secret.jpg", "Permission denied")
    assert "failed: shut: Permission denied" in result.stderr


def test_where_nothing_can_be_read_the_reason_is_told(tmp_path, as_ordinary_user):
    shut = tmp_path / "photos/shut"
    shut.mkdir(parents=True)
    shut.chmod(0)
    try:
        result = as_ordinary_user(shut.parent, tmp_path / "masks")
    finally:
        shut.chmod(0o755)
    assert result.returncode == 4
    assert "shut cannot be read: Permission denied" in result.stderr


def test_a_file_that_grows_while_it_is_read_is_reported(photos, segment, photos_folder, monkeypatch):
    (photos / "growing.jpg").write_bytes((photos_folder / "lake.jpg").read_bytes())

    def open_and_grow(path, bare):
        picture = open_any(path, bare)
        if path.name == "growing.jpg":
            with path.open("ab") as stream:
                stream.write(b"more")
        return picture

    monkeypatch.setattr(decode, "open_any", open_and_grow)
    assert_only_good_is_done(segment(photos, "masks"), photos, "growing.jpg", "it changed while it was read")


def test_a_file_removed_or_spoilt_during_the_run_is_reported(many, start, journal, tmp_path):
    run = start(many, tmp_path / "masks")
    run.wait_for(1)
    (many / "14.png").unlink()
    (many / "15.png").write_bytes(b"spoilt")
    code, said = run.end()
    assert code == 3
    assert "failed: 14.png: No such file or directory" in said
    assert "failed: 15.png: not a picture" in said
    entries = journal(tmp_path / "masks")
    assert {path for path, entry in entries.items() if entry["status"] == "failed"} == {"14.png", "15.png"}
    assert len(list((tmp_path / "masks").glob("*.png"))) == 14
