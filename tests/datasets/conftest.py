"""What tests of data sets share: one call that prepares, and the archives that it prepares from."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stego_cli.datasets.build import Prepared
from stego_cli.progress import Progress, Quiet
from stego_cli.settings import PrepareSettings
from stego_cli.stop import Stop
from stego_cli.tasks.prepare import prepare

ARCHIVES = runpy.run_path(str(Path(__file__).parent / "archives.py"))


class Notes(Quiet):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="session")
def official() -> SimpleNamespace:
    """Small archives in the official layouts: `official.voc_files()`, `official.as_tar(files, target)` and so on."""
    return SimpleNamespace(**ARCHIVES)


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
def notes() -> Notes:
    return Notes()
