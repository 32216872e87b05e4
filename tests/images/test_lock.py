import errno
import json
import os
import socket
import subprocess
import sys

import pytest

from stego_cli.errors import OutputError
from stego_cli.images import lock
from stego_cli.images.lock import hold

HOLD = """
import pathlib, sys
from stego_cli.images.lock import hold
with hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "masks/.stego").mkdir(parents=True)
    return tmp_path / "masks/.stego/lock"


@pytest.fixture
def holder(file):
    """Another process that holds the lock until it is told to end."""
    with subprocess.Popen([sys.executable, "-c", HOLD, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_holder_is_refused_by_name_of_the_first(file, holder):
    with pytest.raises(OutputError, match=f"process {holder.pid} on ") as error, hold(file):
        pass
    assert str(file.parent.parent) in error.value.message


def test_the_lock_of_a_killed_process_is_free(file, holder):
    holder.kill()
    holder.wait()
    with hold(file):
        pass


def test_the_lock_is_free_again_after_the_block_and_after_an_error_in_it(file):
    with hold(file):
        pass
    with pytest.raises(OSError, match="the block's own"), hold(file):
        raise OSError("the block's own")
    with hold(file), pytest.raises(OutputError), hold(file):
        pass


def test_a_lock_that_cannot_be_made_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written and locked"), hold(tmp_path / "nowhere/lock"):
        pass


def test_a_holder_whose_name_is_unreadable_is_refused_all_the_same(file, holder):
    file.write_bytes(b"\xff")
    with pytest.raises(OutputError, match="name cannot be read"), hold(file):
        pass


def test_a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_left_alone(tmp_path, file):
    mine = tmp_path / "mine.txt"
    mine.write_bytes(b"mine")
    for link in (file.symlink_to, file.hardlink_to):
        link(mine)
        with pytest.raises(OutputError, match="is a link"), hold(file):
            pass
        file.unlink()
    os.mkfifo(file)
    with pytest.raises(OutputError, match="not a file"), hold(file):
        pass
    assert mine.read_bytes() == b"mine"


# File systems without locks.


@pytest.fixture(params=[errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def no_locks(request, monkeypatch):
    def refuse(descriptor, operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)


def test_without_locks_a_file_takes_their_place_and_that_is_told(file, no_locks):
    told = []
    with hold(file, warn=told.append):
        instead = file.with_name("lock.held")
        assert json.loads(instead.read_text())["pid"] == os.getpid()
        with pytest.raises(OutputError, match=f"process {os.getpid()} on "), hold(file, warn=told.append):
            pass
        assert instead.exists()
    assert not instead.exists()
    assert len(told) == 2
    assert "file system without locks" in told[0]
    with pytest.warns(RuntimeWarning, match="without locks"), hold(file):
        pass


def test_what_a_crashed_run_has_left_is_recognised_by_its_process(file, no_locks):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    instead, here = file.with_name("lock.held"), socket.gethostname()
    for holder in (
        {"pid": int(ended.stdout), "host": here, "since": "then", "started": ""},
        {"pid": os.getpid(), "host": here, "since": "then", "started": "1"},  # another process of the same number
    ):
        instead.write_text(json.dumps(holder))
        with hold(file, warn=[].append):
            assert json.loads(instead.read_text())["started"] != holder["started"]
        assert not instead.exists()


@pytest.mark.parametrize(
    "held", ['{"pid": 1, "host": "elsewhere", "since": "noon"}', "", "[1]", "{" * 5000, '{"pid": "x"}']
)
def test_what_cannot_be_told_from_a_run_that_goes_on_is_left_to_the_user(file, no_locks, held):
    instead = file.with_name("lock.held")
    instead.write_text(held)
    with pytest.raises(OutputError, match="Another run") as error, hold(file, warn=[].append):
        pass
    assert f"remove {instead}" in error.value.remedy
    assert instead.read_text() == held


def test_a_lock_file_of_any_content_is_no_reason_to_fail(file, holder):
    for content in (b"\xff", b"[]", b"{" * 9000, b'{"pid": 1}', b'{"pid": {}, "host": [], "since": 1e999}'):
        file.write_bytes(content)
        with pytest.raises(OutputError, match="Another run"), hold(file):
            pass
