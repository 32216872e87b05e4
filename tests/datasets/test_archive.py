"""Archives that are hostile, cut short or none at all: one sentence, and nothing read or written outside."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from stego_cli.datasets import archive, source
from stego_cli.datasets.archive import open_archive
from stego_cli.datasets.source import Files
from stego_cli.errors import SourceError

OUTSIDE = [
    "../evil.png",
    "a/../../evil.png",
    "/etc/evil.png",
    "..\\evil.png",
    "C:\\evil.png",
    "c:/evil.png",
    "\\evil.png",
]


def tar_with(target, **fields):
    with tarfile.open(target, "w") as tar:
        member = tarfile.TarInfo("good.png")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"good"))
        bad = tarfile.TarInfo(fields.pop("name", "bad.png"))
        for key, value in fields.items():
            setattr(bad, key, value)
        tar.addfile(bad, io.BytesIO(bytes(bad.size)))
    return target


def zip_with(target, name, mode=0, content=b"bad"):
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("good.png", b"good")
        info = zipfile.ZipInfo("x")
        info.filename = name  # as it stands: the constructor tidies it up
        info.external_attr = mode << 16
        archive.writestr(info, content)
    return target


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_refused(tmp_path, name) -> None:
    for file in (tar_with(tmp_path / "a.tar", name=name), zip_with(tmp_path / "a.zip", name)):
        with pytest.raises(SourceError, match="leads out of it"):
            open_archive(file, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(tmp_path, kind) -> None:
    with pytest.raises(SourceError, match="device"):
        open_archive(tar_with(tmp_path / "a.tar", type=kind), tmp_path)


def test_devices_in_a_zip_are_refused(tmp_path) -> None:
    for kind in (stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK):
        with pytest.raises(SourceError, match="device"):
            open_archive(zip_with(tmp_path / "a.zip", "bad", kind | 0o644), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../../etc/passwd", "x/../../../etc/passwd"])
def test_links_that_lead_out_are_refused(tmp_path, kind, target) -> None:
    with pytest.raises(SourceError, match="leads out of it"):
        open_archive(tar_with(tmp_path / "a.tar", type=kind, linkname=target), tmp_path)
    with pytest.raises(SourceError, match="leads out of it"):
        open_archive(zip_with(tmp_path / "a.zip", "link", stat.S_IFLNK | 0o777, target.encode()), tmp_path)


def test_links_that_stay_inside_are_passed_over_and_never_followed(tmp_path) -> None:
    tar = tar_with(tmp_path / "a.tar", type=tarfile.SYMTYPE, name="x/link.png", linkname="../good.png")
    for file in (tar, zip_with(tmp_path / "a.zip", "link.png", stat.S_IFLNK | 0o777, b"good.png")):
        opened = open_archive(file, tmp_path)
        assert list(opened.sizes) == ["good.png"]
        assert opened.read("good.png") == b"good"
        opened.close()


def test_a_member_larger_than_any_picture_is_refused(tmp_path) -> None:
    file = zip_with(tmp_path / "bomb.zip", "bomb.png", content=bytes(2000))
    content = bytearray(file.read_bytes())
    at = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)  # its entry in the directory at the end
    content[at + 24 : at + 28] = (2 << 30).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(SourceError, match=r"bomb\.png is compressed too well"):
        open_archive(file, tmp_path)
    tar = tmp_path / "a.tar"
    member = tarfile.TarInfo("bad.png")
    member.size = 2 << 30
    tar.write_bytes(member.tobuf())
    os.truncate(tar, 512 + member.size + 1024)  # takes no room on a disk: the rest is a hole
    opened = open_archive(tar, tmp_path)
    with pytest.raises(SourceError, match=r"bad\.png has"):
        opened.read("bad.png")
    opened.close()


def test_a_header_of_gigabytes_is_refused_before_it_is_read(tmp_path) -> None:
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE):
        member = tarfile.TarInfo("long")
        member.type, member.size = kind, 8 << 30
        (tmp_path / "a.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
        with pytest.raises(SourceError, match="header of 8590 MB"):
            open_archive(tmp_path / "a.tar", tmp_path)


def test_content_that_is_compressed_too_well_is_refused(official, tmp_path) -> None:
    files = {"a.png": bytes(70 << 20)}
    for file in (official.as_zip(files, tmp_path / "a.zip"), official.as_tar(files, tmp_path / "a.tar.gz", "w:gz")):
        with pytest.raises(SourceError, match="compressed too well"):
            open_archive(file, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar.gz", "a.zip"]


def test_an_encrypted_zip_is_refused(tmp_path) -> None:
    file = zip_with(tmp_path / "a.zip", "b.png")
    content = bytearray(file.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1  # the flag in the directory at the end
    file.write_bytes(content)
    with pytest.raises(SourceError, match="encrypted"):
        open_archive(file, tmp_path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_an_archive_cut_short_anywhere_is_refused(official, tmp_path, kind) -> None:
    files = {"a.png": bytes(range(256)) * 9, "b.png": bytes(700)}
    file = tmp_path / f"a.{kind}"
    if kind == "zip":
        official.as_zip(files, file)
    else:
        official.as_tar(files, file, {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[kind])
    whole = file.read_bytes()
    held = 5 * 512 + 3 * 512 + 512  # of the tar: two headers, two contents, and the first block of its end
    for length in {0, 1, 200, 512, 1536, 3072, len(whole) // 2, len(whole) - 4}:
        if length >= (held if kind == "tar" else len(whole)):
            continue  # nothing is lost, or only padding
        file.write_bytes(whole[:length])
        with pytest.raises(SourceError, match=r"a\." + kind):
            open_archive(file, tmp_path).read("b.png")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_damage_inside_a_zip_is_noticed_when_it_is_read(official, tmp_path) -> None:
    file = official.as_zip({"a.png": bytes(range(256)) * 9}, tmp_path / "a.zip")
    content = bytearray(file.read_bytes())
    content[60] ^= 0xFF
    file.write_bytes(content)
    opened = open_archive(file, tmp_path)
    with pytest.raises(SourceError, match=r"damaged at a\.png"):
        opened.read("a.png")
    opened.close()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("common", [{}, {"path": "renamed.png"}])
def test_a_tar_is_read_as_the_standard_library_reads_it(tmp_path, form, common) -> None:
    """Members of every kind after each other: plain, long and foreign names, fractions of a second, folders, links."""
    names = ["a.png", "b/" * 55 + "long.png", "c.png", "d.png", "é.png", "e.png", "f.png", "folder", "g.png", "a.png"]
    with tarfile.open(tmp_path / "a.tar", "w", format=form, pax_headers=common) as tar:
        for index, name in enumerate(names):
            member = tarfile.TarInfo(name)
            member.size = 0 if name == "c.png" else 500 + 12 * index
            member.mtime = 1.5 if name == "d.png" else 1
            if name in ("f.png", "folder"):
                member.type, member.size = (tarfile.SYMTYPE, 0) if name == "f.png" else (tarfile.DIRTYPE, 0)
                member.linkname = "a.png" if name == "f.png" else ""
            tar.addfile(member, io.BytesIO(bytes([index]) * member.size))
    with tarfile.open(tmp_path / "a.tar") as tar:
        expected = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}
    opened = open_archive(tmp_path / "a.tar", tmp_path)
    assert {name: opened.read(name) for name in opened.sizes} == expected
    assert {name: len(content) for name, content in expected.items()} == opened.sizes
    opened.close()


def test_a_damaged_header_between_plain_ones_is_noticed(official, tmp_path) -> None:
    file = official.as_tar({name: bytes(700) for name in ("a.png", "b.png", "c.png")}, tmp_path / "a.tar")
    whole = file.read_bytes()
    for at in (0, 124, 150, 156, 257, 300, 511):  # in the header of b.png: its name, size, checksum and so on
        content = bytearray(whole)
        content[512 + 1024 + at] ^= 1
        file.write_bytes(content)
        with pytest.raises(SourceError, match=r"a\.tar is cut short"):
            open_archive(file, tmp_path)


@pytest.mark.parametrize("kind", ["tar", "zip", "folder"])
def test_files_larger_than_a_piece_are_copied_whole(official, tmp_path, monkeypatch, kind) -> None:
    for module in (archive, source):
        monkeypatch.setattr(module, "PIECE", 1000)
    given = {"a.bin": bytes(range(250)) * 4, "b.bin": bytes(range(256)) * 17, "c.bin": b""}
    make = {"tar": official.as_tar, "zip": official.as_zip, "folder": official.as_folder}[kind]
    with Files([("", make(given, tmp_path / f"given.{kind}"))], tmp_path, within=False) as files:
        for name, content in given.items():
            assert files.put(name, f"{tmp_path}/{name}", link=False) == (len(content), content[:8])
            assert (tmp_path / name).read_bytes() == content == files.read(name)


def test_a_file_that_has_gone_is_named_as_the_source(official, tmp_path) -> None:
    with Files([("", official.as_folder({"a.jpg": b"a"}, tmp_path / "x"))], tmp_path, within=False) as files:
        (tmp_path / "x/a.jpg").unlink()
        for link in (False, True):
            with pytest.raises(SourceError, match=r"x/a\.jpg cannot be read"):
                files.put("a.jpg", f"{tmp_path}/b.jpg", link)
    assert not (tmp_path / "b.jpg").exists()


def test_what_is_no_archive_is_refused(tmp_path) -> None:
    (tmp_path / "a.tar").write_text("<html>404</html>" * 100)
    with pytest.raises(SourceError, match="not a whole zip or tar"):
        open_archive(tmp_path / "a.tar", tmp_path)


def test_files_of_several_sources_are_one_collection_and_the_first_counts(official, tmp_path) -> None:
    official.as_folder({"x/a.txt": b"one\n\n two \n", ".hidden/b.txt": b"", "__MACOSX/c.txt": b""}, tmp_path / "first")
    second = official.as_zip(
        {"x/a.txt": b"other", "y.txt": b"\xff", ".DS_Store": b"", "._y": b""}, tmp_path / "second.zip"
    )
    with Files([("", tmp_path / "first"), ("", second), ("below", second)], tmp_path, within=False) as files:
        assert sorted(files) == ["below/x/a.txt", "below/y.txt", "x/a.txt", "y.txt"]
        assert files.lines("x/a.txt") == ["one", "two"]
        with pytest.raises(SourceError, match="UTF-8"):
            files.lines("y.txt")
    with pytest.raises(SourceError, match="does not exist"):
        Files([("", tmp_path / "nowhere")], tmp_path, within=False)


def test_a_link_to_a_folder_is_not_followed_and_one_to_a_file_is(official, tmp_path) -> None:
    official.as_folder({"real/a.txt": b"a", "given/b.txt": b"b"}, tmp_path)
    (tmp_path / "given/loop").symlink_to(tmp_path / "given")
    (tmp_path / "given/out").symlink_to(tmp_path / "real")
    (tmp_path / "given/c.txt").symlink_to(tmp_path / "real/a.txt")
    (tmp_path / "given/self").symlink_to(tmp_path / "given/self")
    with Files([("", tmp_path / "given")], tmp_path, within=False) as files:
        assert sorted(files) == ["b.txt", "c.txt"]
        assert files.read("c.txt") == b"a"
