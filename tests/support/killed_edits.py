"""Masks that are being changed when the process is killed, and what the same command then must do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stego_cli.gallery.mask_tree import open_masks
from stego_cli.images.atomic import sha256
from tests.support.processes import PATIENCE

MASKS = 60


def _start(masks: Path) -> subprocess.Popen[bytes]:
    words = ["classes", "join", "road=3,1", "--to", str(masks)]
    return subprocess.Popen([sys.executable, "-m", "stego_cli", *words], stdout=subprocess.DEVNULL, stderr=-3)


def the_same_command_finishes(make_masks: Callable[..., Path], changed: int) -> None:
    """The process is killed when so many masks are changed: the same command does the rest, and nothing twice."""
    masks = make_masks([f"{number:03}.png" for number in range(MASKS)], size=(150, 200))
    before = {entry.path: open_masks(masks).labels(entry) for entry in open_masks(masks).entries}
    journal = masks / ".stego/journal.jsonl"
    running = _start(masks)
    while journal.read_bytes().count(b"\n") < MASKS + changed and running.poll() is None:
        pass
    os.kill(running.pid, signal.SIGKILL)  # on a machine so busy that it has ended, this changes nothing
    assert running.wait() in (-signal.SIGKILL, 0)
    if running.returncode:
        assert _start(masks).wait(PATIENCE) == 0
    tree, values = open_masks(masks), np.array([0, 3, 2, 3, 4, 5], np.uint8)
    assert len(tree.entries) == MASKS
    for entry in tree.entries:
        labels = tree.labels(entry)
        assert np.array_equal(labels, values[before[entry.path]])
        assert sha256(masks / entry.mask) == entry.sha256
        assert entry.pixels == {int(value): int((labels == value).sum()) for value in np.unique(labels)}
    assert tree.edits.names[3] == "road"
