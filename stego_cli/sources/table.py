"""Kinds of files that are segmented in parts, a row each. Which one a file is, is decided by its content."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, cast

from stego_cli.errors import PhotoError
from stego_cli.images.decode import photo_size
from stego_cli.images.discover import Found, Photo, Reason, with_masks
from stego_cli.images.readers.picture import OpenPicture
from stego_cli.images.readers.table import open_any
from stego_cli.sources import gdal, video
from stego_cli.sources.content import is_raster, is_stack, is_video
from stego_cli.sources.source import Asked, Source
from stego_cli.text import shown


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        module: its name in this package; `maker`: what opens a file there.
        suffixes: of names of files that are looked at, in small letters.
        matches: returns whether a file is of this kind, by its content.
        missing: returns why such files cannot be worked on here, with the remedy; None if they can.
        mask: suffix of its mask, in place of its own; "": a folder of masks.
        extra: those of the suffixes that files are passed over by where they cannot be worked on.
    """

    module: str
    maker: str
    suffixes: frozenset[str]
    matches: Callable[[Path], bool]
    missing: Callable[[], str | None]
    mask: str
    extra: frozenset[str] = frozenset()

    def open(self, asked: Asked) -> Source:
        """Open a file.

        Raises:
            PhotoError: it cannot be opened, or what is needed for it is not installed.
        """
        reason = self.missing()
        if reason is not None:
            raise PhotoError(reason)
        return cast(Source, getattr(self._code(), self.maker)(asked))

    def sampled(self, file: Path) -> OpenPicture:
        """Open a file for a look at its numbers, on which a stretch is decided.

        Raises:
            PhotoError: it cannot be opened.
        """
        return cast(OpenPicture, self._code().sampled(file))

    def _code(self) -> Any:  # noqa: ANN401  (a module has no type of its own)
        return import_module(f"stego_cli.sources.{self.module}")


def _nothing_missing() -> None:
    return None


_TIFFS = frozenset({".tif", ".tiff"})
_RASTERS = _TIFFS | {".jp2", ".j2k", ".vrt"}
_VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"})

KINDS = {
    "raster": Kind("rasters", "RasterSource", _RASTERS, is_raster, gdal.missing, ".tif"),
    "stack": Kind("stacks", "StackSource", _TIFFS, is_stack, _nothing_missing, ".tif"),
    "video": Kind("video", "VideoSource", _VIDEOS, is_video, video.missing, "", extra=_VIDEOS),
}
SUFFIXES = frozenset(suffix for kind in KINDS.values() for suffix in kind.suffixes)


def kind_of(file: Path) -> Kind | None:
    """Return the kind of a file; None: it is a photograph, or cannot be read."""
    for kind in KINDS.values():
        with contextlib.suppress(OSError, PhotoError):
            if kind.matches(file):
                return kind
    return None


def apart(found: Found, named: bool) -> tuple[Found, list[str]]:
    """Return what was found with files that are segmented in parts apart from photographs, and notes for the user.

    Args:
        found: with all files among the photographs.
        named: there is one, which the user named: its content is looked at whatever its name.
    """
    plain, large, notes = list[Photo](), list[tuple[Photo, Kind]](), dict[str, str]()
    for photo in found.photos:
        suffix = PurePosixPath(photo.path).suffix.lower()
        kind = kind_of(found.root / photo.path) if named or suffix in SUFFIXES else None
        reason = None if kind is None else kind.missing()
        if kind is None or (reason is not None and _is_photograph(found.root / photo.path)):
            plain.append(photo)
        elif reason is None or named or suffix not in kind.extra:
            large.append((photo, kind))
        else:
            found.passed[Reason.NAME].add(photo.path)
        if reason is not None:
            notes.setdefault(reason, f"{shown(photo.path)}: {reason}.")
    if large:
        plain = with_masks([photo.path for photo in plain])  # they no longer share names with those
    return replace(found, photos=plain, large=_placed(plain, large)), [*notes.values()]


def _is_photograph(file: Path) -> bool:
    try:
        photo_size(file)
    except PhotoError:
        return False
    return True


def _placed(plain: list[Photo], large: list[tuple[Photo, Kind]]) -> list[Photo]:
    """Return files with a place for each mask that nothing else has: "town.tif", or "town.tif.tif"."""
    taken = {photo.mask.casefold() for photo in plain}
    for photo in [*plain, *(photo for photo, _ in large)]:
        taken |= {parent.as_posix().casefold() for parent in PurePosixPath(photo.path).parents}
    wanted = [str(PurePosixPath(photo.path).with_suffix(kind.mask)) for photo, kind in large]
    taken |= {mask for mask, count in Counter(map(str.casefold, wanted)).items() if count > 1}
    return [
        Photo(photo.path, f"{photo.path}{kind.mask}" if mask.casefold() in taken else mask)
        for (photo, kind), mask in zip(large, wanted, strict=True)
    ]


def open_sampled(file: Path) -> OpenPicture:
    """Open a photograph, or a file of these kinds for a look at its numbers.

    Raises:
        PhotoError: it cannot be opened.
    """
    kind = kind_of(file) if file.suffix.lower() in SUFFIXES else None
    return open_any(file) if kind is None or kind.missing() is not None else kind.sampled(file)
