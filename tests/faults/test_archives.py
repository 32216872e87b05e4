"""Archives that try to write elsewhere (row 27), and runs of `stego prepare` that are killed."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.support import archives
from tests.support.processes import PATIENCE

VOC = "VOCdevkit/VOC2012/"


@pytest.fixture
def refused(tmp_path, stego):
    """`refused(source)`: the command refuses it in a sentence and leaves nothing."""

    def run(source: Path) -> str:
        (tmp_path / "work").mkdir(exist_ok=True)
        before = set(tmp_path.rglob("*"))
        ended = stego("prepare", "voc2012", "--source", source, "--out", tmp_path / "work/voc")
        assert ended.returncode == 4, ended.stderr
        assert ended.stderr.count("Error: ") == 1
        assert set(tmp_path.rglob("*")) == before
        return ended.stderr

    return run


def hostile_tar(target: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    archives.as_tar(archives.voc_files(), target)
    with tarfile.open(target, "a") as tar:
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize("name", ["../../../evil.jpg", "/tmp/stego-evil.jpg", f"{VOC}JPEGImages/../../../../evil.jpg"])
def test_names_that_lead_out_are_refused_and_nothing_is_written(refused, tmp_path, name) -> None:
    tar = hostile_tar(tmp_path / "T.tar", tarfile.TarInfo(name), b"evil")
    assert "leads out of it" in refused(tar)
    file = archives.as_zip(archives.voc_files(), tmp_path / "T.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"evil")
    assert "leads out of it" in refused(file)
    assert not Path("/tmp/stego-evil.jpg").exists()
    assert not list(tmp_path.rglob("evil.jpg"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_out_are_refused(refused, tmp_path, kind) -> None:
    link = tarfile.TarInfo(f"{VOC}JPEGImages/link.jpg")
    link.type, link.linkname = kind, "../../../../../etc/passwd"
    assert "leads out of it" in refused(hostile_tar(tmp_path / "T.tar", link))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_device_nodes_and_pipes_are_refused(refused, tmp_path, kind) -> None:
    node = tarfile.TarInfo(f"{VOC}JPEGImages/2007_000032.jpg")
    node.type = kind
    assert "device" in refused(hostile_tar(tmp_path / "T.tar", node))


def test_a_link_in_place_of_a_photograph_is_never_followed(refused, tmp_path) -> None:
    """It stays inside, so it is passed over; then the photograph is missing."""
    files = archives.voc_files()
    del files[f"{VOC}JPEGImages/2007_000032.jpg"]
    archives.as_tar(files, tmp_path / "T.tar")
    link = tarfile.TarInfo(f"{VOC}JPEGImages/2007_000032.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "2007_000039.jpg"
    with tarfile.open(tmp_path / "T.tar", "a") as tar:
        tar.addfile(link)
    assert "2007_000032.jpg" in refused(tmp_path / "T.tar")


def test_a_truncated_archive_gets_one_sentence_and_leaves_nothing(refused, tmp_path) -> None:
    whole = archives.as_tar(archives.voc_files(), tmp_path / "T.tar").read_bytes()
    (tmp_path / "T.tar").write_bytes(whole[: len(whole) // 2])
    assert "T.tar" in refused(tmp_path / "T.tar")
    packed = archives.as_tar(archives.voc_files(), tmp_path / "T.tar", "w:gz").read_bytes()
    (tmp_path / "T.tar").write_bytes(packed[: len(packed) // 2])
    assert "T.tar" in refused(tmp_path / "T.tar")


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """An archive whose preparation lasts long enough to be killed at several moments."""
    files = {f"imgs/train/{index:04}.png": archives.png(archives.voc_label((160, 120), index)) for index in range(240)}
    files |= {f"labels/train/{index:04}.png": files[f"imgs/train/{index:04}.png"] for index in range(240)}
    return archives.as_tar(files, tmp_path_factory.mktemp("large") / "own.tar")


def start(large: Path, out: Path) -> "subprocess.Popen[str]":
    words = ["prepare", "folder", "--source", str(large), "--out", str(out), "--resize", "100"]
    return subprocess.Popen([sys.executable, "-m", "stego_cli", *words], stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_killed_at_several_moments_and_repeated_the_result_is_the_same(large, tmp_path) -> None:
    first = start(large, tmp_path / "undisturbed")
    assert first.wait(PATIENCE) == 0, first.communicate()
    first.communicate()
    out, partial = tmp_path / "out", tmp_path / ".out.stego-partial"
    for done in (1, 80, 160):
        run = start(large, out)
        journal, end = partial / ".stego-journal.jsonl", time.monotonic() + PATIENCE
        while run.poll() is None and (not journal.exists() or journal.read_bytes().count(b"\n") < done):
            assert time.monotonic() < end
            time.sleep(0.002)
        run.kill()
        run.communicate()
        assert run.returncode == -signal.SIGKILL
        assert not out.exists()
    last = start(large, out)
    _, said = last.communicate(timeout=PATIENCE)
    assert last.returncode == 0, said
    assert "Going on:" in said
    assert archives.contents(out) == archives.contents(tmp_path / "undisturbed")
    assert not partial.exists()


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_a_second_run_is_refused_meanwhile(large, tmp_path) -> None:
    run = start(large, tmp_path / "out")
    journal, end = tmp_path / ".out.stego-partial/.stego-journal.jsonl", time.monotonic() + PATIENCE
    while not journal.exists() or journal.read_bytes().count(b"\n") < 2:
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGSTOP)
    second = start(large, tmp_path / "out")
    _, said = second.communicate(timeout=PATIENCE)
    assert second.returncode == 6
    assert f"process {run.pid} on" in said
    run.send_signal(signal.SIGINT)
    os.kill(run.pid, signal.SIGCONT)
    _, said = run.communicate(timeout=PATIENCE)
    assert run.returncode == 130, said
    assert "The same command goes on." in said
    assert not (tmp_path / "out").exists()
