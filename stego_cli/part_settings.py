"""How files are segmented that are worked on in parts: rasters by windows, stacks by slices, videos by frames."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stego_cli.errors import UsageError, setting

Box = tuple[float, float, float, float]  # left, bottom, right, top
_LEAST_OVERLAP, _MOST_OVERLAP = 0.1, 0.8  # of a window's side


@dataclass(frozen=True)
class PartSettings:
    """Which parts of such a file are segmented, and what is made of their masks."""

    bbox: Box | None = None  # of rasters: only this box, in the units of their coordinates
    mask_polygon: Path | None = None  # of rasters: only what lies in the polygons of this file
    res_ground: float | None = None  # of rasters: the model works at this size of a pixel, metres; None: the model's

    every: int | None = None  # of videos: every so many frames; None: all, or as `fps` says
    fps: float | None = None  # of videos: so many frames a second
    steady: bool = False  # of videos: labels are steadied over time
    mask_video: bool = False  # of videos: the masks are one lossless video
    colour_map: str = ""  # of stacks: matplotlib's name of the colours for slices of one band; "": grey
    model_ground: float | None = None  # of rasters: the size of a pixel that the model was trained at; None: their own
    overlap: float | None = (
        None  # of rasters: share of a window's side that neighbours have in common; None: 12 patches
    )

    def __post_init__(self) -> None:
        if self.bbox is not None and not (
            all(map(math.isfinite, self.bbox)) and self.bbox[0] < self.bbox[2] and self.bbox[1] < self.bbox[3]
        ):
            raise UsageError(
                f"must be LEFT,BOTTOM,RIGHT,TOP with LEFT below RIGHT and BOTTOM below TOP, got {self.bbox}",
                field="bbox",
            )
        if self.res_ground is not None and not 0 < self.res_ground < math.inf:
            raise UsageError(f"must be above 0, got {self.res_ground}", field="res_ground")
        if self.overlap is not None and not _LEAST_OVERLAP <= self.overlap <= _MOST_OVERLAP:
            raise UsageError(f"must be {_LEAST_OVERLAP} to {_MOST_OVERLAP}, got {self.overlap}", field="overlap")
        if self.every is not None and self.every < 1:
            raise UsageError(f"must be 1 or more, got {self.every}", field="every")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise UsageError(f"must be above 0, got {self.fps}", field="fps")
        if self.every is not None and self.fps is not None:
            raise UsageError(f"{setting('every')} and {setting('fps')} both choose frames.", "Give one of them.")

    @property
    def ground(self) -> float | None:
        """The size of a pixel of rasters at which the model works, metres; None: their own."""
        return self.model_ground if self.res_ground is None else self.res_ground

    def identity(self) -> dict[str, Any]:
        """Return what decides the masks, as JSON has it; only what is not as usual.

        Raises:
            UsageError: a file that is named cannot be read.
        """
        said: dict[str, Any] = {}
        if self.bbox is not None:
            said["bbox"] = list(self.bbox)
        if self.mask_polygon is not None:
            said["mask_polygon"] = hashlib.sha256(polygon_bytes(self.mask_polygon)).hexdigest()
        if self.ground is not None:
            said["res_ground"] = self.ground
        for name in ("every", "fps", "steady", "mask_video", "colour_map", "overlap"):
            if getattr(self, name):
                said[name] = getattr(self, name)
        return said


def parse_bbox(text: str) -> Box | None:
    """Return the box of "LEFT,BOTTOM,RIGHT,TOP"; None of an empty text.

    Raises:
        UsageError: it is something else.
    """
    if not text:
        return None
    try:
        left, bottom, right, top = map(float, text.split(","))
    except ValueError as error:
        raise UsageError(f"must be LEFT,BOTTOM,RIGHT,TOP, got {text!r}", field="bbox") from error
    return left, bottom, right, top


def polygon_bytes(file: Path) -> bytes:
    """Return the content of a file of polygons.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror or error}.", f"Give another {setting('mask_polygon')}."
        ) from error
