"""Other moments of a signal or a kill than in tests/faults/test_signals_at_any_moment.py and tests/gallery."""

import signal

import pytest

from tests.support.early_signals import ends_at_once
from tests.support.killed_edits import the_same_command_finishes


@pytest.mark.parametrize("after", [0.5, 4.0])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_the_first_mask(tmp_path, photos_folder, number, code, after):
    ends_at_once(tmp_path, photos_folder, number, code, after)


@pytest.mark.parametrize("changed", [1, 50])
def test_a_kill_in_the_middle_leaves_what_the_same_command_finishes(make_masks, changed):
    the_same_command_finishes(make_masks, changed)
