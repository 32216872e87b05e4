"""What tests of data sets share: one call that prepares, and the archives that it prepares from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stego_cli.datasets.build import Prepared
from stego_cli.progress import Progress, Quiet
from stego_cli.settings import PrepareSettings
from stego_cli.stop import Stop
from stego_cli.tasks.prepare import prepare
from tests.support import archives
from tests.support.recorder import Recorder


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """Small archives in the official layouts: `official.voc_files()`, `official.as_tar(files, target)` and so on."""
    return archives


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Prepared]:
    """`make("voc2012", source, ..., out=...)`: prepare without a command line, by default in tmp_path/"out"."""

    def run(
        name: str, *sources: Path, progress: Progress | None = None, stop: Stop | None = None, **settings: Any
    ) -> Prepared:
        settings.setdefault("out", tmp_path / "out")
        return prepare(PrepareSettings(name, source=sources, **settings), progress or Quiet(), stop or Stop())

    return run


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
