"""The signals, moments and victims of tests/faults/test_signals_and_kills.py that take longer than they add."""

import signal

import pytest

from tests.support.stopped_runs import (
    PROCESSES,
    THREADS,
    a_signal_lets_what_has_begun_finish,
    no_worker_dies_of_ctrl_c,
    photographs_of_killed_workers_are_done,
)

pytestmark = pytest.mark.pydensecrf


@pytest.mark.parametrize(("number", "code", "how"), [(signal.SIGINT, 130, PROCESSES), (signal.SIGTERM, 143, THREADS)])
def test_one_signal_lets_what_has_begun_finish(many, start, journal, number, code, how):
    a_signal_lets_what_has_begun_finish(many, start, journal, how, number, code)


@pytest.mark.parametrize("delay", [0.0, 0.4])
def test_ctrl_c_while_workers_start_kills_none_of_them(many, start, delay):
    no_worker_dies_of_ctrl_c(many, start, delay)


def test_two_killed_workers_are_noticed_and_their_photographs_are_done(many, start, journal):
    assert len(photographs_of_killed_workers_are_done(many, start, journal, 2)) == 16
