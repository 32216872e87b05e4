"""What tests of pictures share: small pictures of every format."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

PICTURES = runpy.run_path(str(Path(__file__).parents[1] / "support/pictures.py"))


@pytest.fixture(scope="session")
def pictures() -> SimpleNamespace:
    """The functions of tests/support/pictures.py."""
    return SimpleNamespace(**PICTURES)


@pytest.fixture(scope="session")
def all_samples() -> dict[str, bytes]:
    """A valid picture of each format and kind."""
    samples: dict[str, bytes] = PICTURES["samples"]()
    return samples


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """`put("a.jpg", content)`: write a file; return its path."""

    def write(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write
