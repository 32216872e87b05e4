"""Where features and codes correspond to those of a point: the maps of the paper's figure 2, for any photographs.

A point is described by bilinear interpolation between patches, and compared with every patch of every photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from stego_cli.correspond.describer import Describer
from stego_cli.errors import NoInputError, PhotoError, UsageError
from stego_cli.images.decode import Decoded, decode
from stego_cli.text import shown
from stego_cli.training.context import RunContext
from stego_cli.training.correspondence import correspondence


@dataclass(frozen=True)
class PointMap:
    """How a photograph corresponds to a point.

    Attributes:
        cosines: float32 (h, w), one for each patch, -1 to 1.
        best: x and y of the centre of the patch with the highest cosine, pixels of the photograph.
        highest: that cosine.
    """

    cosines: Tensor
    best: tuple[float, float]
    highest: float


@dataclass(frozen=True)
class PhotoMaps:
    """A photograph and its maps.

    Attributes:
        path: its file.
        photo: its pixels at the size described, and its own size.
        maps: for each point, by kind ("F" and, with a head, "S").
    """

    path: Path
    photo: Decoded
    maps: list[dict[str, PointMap]]


def point_maps(
    describer: Describer, paths: Sequence[Path], points: Sequence[tuple[float, float]], context: RunContext
) -> tuple[list[PhotoMaps], list[tuple[Path, str]]]:
    """Compare points of the first photograph with all patches of all photographs.

    Args:
        describer: computes features and codes.
        paths: photographs; the points lie in the first.
        points: x and y, pixels from the upper left corner of the first photograph, after EXIF orientation.
        context: shows a stage; its `stop` is checked between photographs.

    Returns:
        The maps, and the photographs that cannot be decoded, each with the reason.

    Raises:
        UsageError: a point lies outside.
        NoInputError: the first photograph cannot be decoded.
        Stopped: a signal arrived.
    """
    found: list[PhotoMaps] = []
    failed: list[tuple[Path, str]] = []
    wanted: dict[str, Tensor] = {}
    with context.progress.stage("Describing", len(paths), unit="photographs") as stage:
        for path in paths:
            context.stop.check()
            stage.advance()
            try:
                photo = decode(path, describer.res, describer.backbone.row.patch)
            except PhotoError as error:
                if not found:
                    raise NoInputError(f"{shown(path)} cannot be used: {error.message}.") from error
                failed.append((path, error.message))
                continue
            if not found:
                places = _places(points, photo, path)
            described = describer.describe(photo.pixels)
            if not found:
                wanted = {kind: at_places(grid, places) for kind, grid in described.items()}
            maps = {kind: compare(wanted[kind], grid) for kind, grid in described.items()}
            each = [{kind: _point_map(maps[kind][index], photo.size) for kind in maps} for index in range(len(points))]
            found.append(PhotoMaps(path, photo, each))
    return found, failed


def best_patches(found: list[PhotoMaps], points: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    """Return plain data: for each photograph and point, by kind, the best patch and its cosine."""
    return [
        {
            "photograph": shown(photo.path),
            "at": list(point),
            **{kind: {"best_at": list(each.best), "cosine": each.highest} for kind, each in maps.items()},
        }
        for photo in found
        for point, maps in zip(points, photo.maps, strict=True)
    ]


def _places(points: Sequence[tuple[float, float]], photo: Decoded, path: Path) -> Tensor:
    """Return the points as shares of width and height, float32 (P, 2)."""
    width, height = photo.size
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(
                f"{x:g},{y:g} lies outside {shown(path)}, which is {width} x {height} pixels.",
                f"X is 0 to {width - 1} from the left, Y is 0 to {height - 1} from the top.",
                field="at",
            )
    return torch.tensor([[(x + 0.5) / width, (y + 0.5) / height] for x, y in points])


def at_places(grid: Tensor, places: Tensor) -> Tensor:
    """Return the values of bilinear upsampling (align_corners=False) of a grid at some places.

    Args:
        grid: float32 (h, w, C).
        places: float32 (P, 2), x and y as shares of width and height, 0 to 1.

    Returns:
        float32 (P, C).
    """
    sampled = F.grid_sample(
        grid.permute(2, 0, 1)[None], (2 * places - 1)[None, None], padding_mode="border", align_corners=False
    )  # (1, C, 1, P)
    return sampled[0, :, 0].T


def compare(wanted: Tensor, grid: Tensor) -> Tensor:
    """Return the cosines (P, h, w), -1 to 1, of P points (P, C) with every patch of a grid (h, w, C)."""
    height, width, _ = grid.shape
    return correspondence(wanted[None], grid.flatten(0, 1)[None])[0].reshape(-1, height, width)


def _point_map(cosines: Tensor, size: tuple[int, int]) -> PointMap:
    rows, columns = cosines.shape
    row, column = divmod(int(cosines.argmax()), columns)
    best = ((column + 0.5) * size[0] / columns, (row + 0.5) * size[1] / rows)
    return PointMap(cosines, best, float(cosines.max()))
