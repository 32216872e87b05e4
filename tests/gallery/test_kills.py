"""Masks are being changed, and the process is killed: the same command again does the rest, and nothing twice."""

from tests.support.killed_edits import the_same_command_finishes


def test_a_kill_in_the_middle_leaves_what_the_same_command_finishes(make_masks):
    the_same_command_finishes(make_masks, 20)  # other moments: benchmarks/checks/test_other_moments.py
