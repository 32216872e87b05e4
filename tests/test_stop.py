import os
import signal
import threading

import pytest

from stego_cli.errors import Stopped
from stego_cli.stop import Stop, temporary_folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_held_back_until_it_is_asked_for(number, code):
    with Stop() as stop:
        stop.check()
        os.kill(os.getpid(), number)
        assert stop.requested == code
        with pytest.raises(Stopped) as stopped:
            stop.check()
    assert stopped.value.exit_code == code


def test_a_second_interrupt_ends_at_once():
    with Stop():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_after_a_termination_ends_at_once_and_a_second_termination_does_not():
    with Stop() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested == 143
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_that_were_there_before_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Stop():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_in_another_thread_it_does_nothing_and_fails_at_nothing():
    seen = []

    def run():
        with Stop() as stop:
            stop.check()
            seen.append(stop.requested)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [None]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_where_nothing_is_kept_a_signal_interrupts(number, code):
    with Stop() as stop, stop.at_once():
        with pytest.raises(KeyboardInterrupt) as ended:
            os.kill(os.getpid(), number)
        assert ended.value.args == (code,)
        with pytest.raises(Stopped), stop.at_once():
            pytest.fail("a signal has come before")


def test_a_temporary_folder_ends_with_its_block(tmp_path):
    with temporary_folder(tmp_path, "a-") as folder:
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())
