import subprocess
import sys

import pytest

from stego_cli.errors import OutputError
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
