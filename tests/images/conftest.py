"""What tests of pictures share: small pictures of every format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import pictures


@pytest.fixture(scope="session")
def all_samples() -> dict[str, bytes]:
    """A valid picture of each format and kind."""
    return pictures.samples()


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """`put("a.jpg", content)`: write a file; return its path."""

    def write(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write
