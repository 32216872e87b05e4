"""What tests of commands share: `stego prepare folder` on given files, and a model of a published-style checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import archives, original_checkpoint
from tests.support.command import stego_in


@dataclass(frozen=True)
class Imported:
    """A model file, the event of the import, and what the import wrote to standard error."""

    model: Path
    event: dict[str, Any]
    stderr: str


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """The default checkpoint of tests/support/original_checkpoint.py, imported and exported with flip averaging."""
    folder = tmp_path_factory.mktemp("imported")
    original_checkpoint.make(folder / "coco.ckpt")
    ended = []
    for words in (
        ["import-checkpoint", "coco.ckpt", "--out", "coco", "--json"],
        ["export-onnx", "coco", "--out", "coco.onnx", "--flip"],
    ):
        ended.append(stego_in(folder, *words))
        assert ended[-1].returncode == 0, ended[-1].stderr
    event = next(line for line in ended[0].stdout.splitlines() if '"imported"' in line)
    return Imported(folder / "coco.onnx", json.loads(event), ended[0].stderr)


@pytest.fixture
def prepared(stego, tmp_path):
    """`prepared(files, ...)`: how the command ended on a folder of these files, and what is in dataset.json."""

    def run(files: dict[str, bytes] | str, *words: object):
        source = files if isinstance(files, str) else archives.as_folder(files, tmp_path / "given").name
        ended = stego("prepare", "folder", "--source", source, "--out", "out", "--overwrite", *words)
        about = tmp_path / "out/dataset.json"
        return ended, json.loads(about.read_text()) if about.exists() else None

    return run
