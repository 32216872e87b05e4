"""The engines that `stego segment --engine` can choose."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from stego_cli.errors import UsageError

if TYPE_CHECKING:
    from stego_cli.engines.worker import Engine

ENGINES = {"local": "local", "ray": "ray_data"}  # name: module in this folder, imported when it is chosen


def engine(name: str) -> Engine:
    """Return the engine of this name.

    Raises:
        UsageError: there is none, or what it needs is not installed.
    """
    if name not in ENGINES:
        raise UsageError(f"must be {' or '.join(ENGINES)}, got {name!r}", field="engine")
    return cast("Engine", import_module(f"stego_cli.engines.{ENGINES[name]}"))
