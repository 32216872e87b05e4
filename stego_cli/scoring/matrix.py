"""The confusion matrix as an SVG: rows are classes, normalised; columns are predictions.

The cells are one small PNG with a pixel for each, enlarged without smoothing: with a rectangle for each cell, a matrix
of 256 classes would take megabytes. Names and class colours are drawn beside it.
"""

from __future__ import annotations

import io
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stego_cli.page import data_uri
from stego_cli.palette import Colour
from stego_cli.scoring.confusion import Counts
from stego_cli.scoring.metrics import PixelCounts
from stego_cli.text import displayed

_SIDE = 340.0  # of all cells, in the units of the SVG
_LEAST_MARGIN = 74.0  # on the left and above, with room for the names of the axes
_LETTER = 6.2  # about the width of a letter
_STRIP = 7.0  # width of the strip of class colours
_MOST_NAMED = 48  # with more classes names do not fit
_MOST_WRITTEN = 12  # with more classes cells have no room for a number
_LONGEST_NAME = 17
_DARK = np.array((8, 48, 107), dtype=np.float64)  # RGB of 100 %
_LIGHT = np.array((247, 250, 254), dtype=np.float64)  # RGB of 0 %


def row_shares(confusion: Counts, unmatched: PixelCounts) -> NDArray[np.float64]:
    """Return the share of each class that was predicted as each class, and as no class where that happens.

    Args:
        confusion: int64 (n, n), pixels by class and predicted class.
        unmatched: int64 (n,), pixels of each class predicted as no class.

    Returns:
        float64 (n, n), or (n, n + 1) where `unmatched` has any; rows sum to 1, or to 0 for a class without pixels.
    """
    cells = np.column_stack([confusion, unmatched]) if unmatched.any() else confusion
    totals = cells.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(cells, totals, out=np.zeros(cells.shape), where=totals > 0)
    return shares


def matrix_svg(shares: NDArray[np.float64], names: tuple[str, ...], colours: list[Colour]) -> str:
    """Return the matrix as SVG text.

    Args:
        shares: float64 (n, n or n + 1), from 0 to 1.
        names: of the n classes; `colours`: their RGB, 0 to 255.
    """
    rows, columns = shares.shape
    cell = _SIDE / max(rows, columns)
    heads = [displayed(name, 200) for name in names] + ["no class"] * (columns - rows)
    named = rows <= _MOST_NAMED
    letters = min(_LONGEST_NAME, max(map(len, heads))) if named else 0
    margin = max(_LEAST_MARGIN, _STRIP + 8 + _LETTER * letters)
    width, height = margin + columns * cell, margin + rows * cell
    hues = [_css(colour) for colour in colours] + ["#ff00ff"] * (columns - rows)
    parts = [
        f'<image x="{margin:.2f}" y="{margin:.2f}" width="{columns * cell:.2f}" height="{rows * cell:.2f}" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{_cells(shares)}"/>'
    ]
    for index in range(max(rows, columns)):
        parts += _head(index, heads[index], hues[index], cell, margin, index < rows, named)
    if rows <= _MOST_WRITTEN:
        parts += _written(shares, cell, margin)
    parts.append(
        f'<rect class="frame" x="{margin:.2f}" y="{margin:.2f}" width="{columns * cell:.2f}" '
        f'height="{rows * cell:.2f}"/>'
        f'<text x="2" y="{margin - 24:.0f}" class="axis">label ↓</text>'
        f'<text x="2" y="{margin - 10:.0f}" class="axis">prediction →</text>'
    )
    return (
        f'<svg class="matrix" viewBox="0 0 {width + 2:.0f} {height + 2:.0f}" role="img" '
        f'aria-label="Confusion matrix, rows normalised">{"".join(parts)}</svg>'
    )


def _head(index: int, name: str, hue: str, cell: float, margin: float, is_row: bool, named: bool) -> list[str]:
    """Return the colour and name of class `index` above its column and, if it `is_row`, left of its row."""
    at = margin + index * cell
    middle = at + cell / 2
    near = margin - _STRIP - 2
    title = f"<title>{escape(name)}</title>"
    parts = [f'<rect x="{at:.2f}" y="{near:.2f}" width="{cell:.2f}" height="{_STRIP}" fill="{hue}">{title}</rect>']
    if is_row:
        parts.append(
            f'<rect x="{near:.2f}" y="{at:.2f}" width="{_STRIP}" height="{cell:.2f}" fill="{hue}">{title}</rect>'
        )
    if named:
        text = escape(name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…")
        size = min(11.0, cell * 0.92)
        style = f'font-size="{size:.1f}" dominant-baseline="central"'
        turned = f'transform="translate({middle:.2f} {near - 3:.2f}) rotate(-90)"'
        parts.append(f"<text {turned} {style}>{text}{title}</text>")
        if is_row:
            parts.append(f'<text x="{near - 3:.2f}" y="{middle:.2f}" text-anchor="end" {style}>{text}{title}</text>')
    return parts


def _written(shares: NDArray[np.float64], cell: float, margin: float) -> list[str]:
    size = min(13.0, cell * 0.42)
    return [
        f'<text x="{margin + (column + 0.5) * cell:.2f}" y="{margin + (row + 0.5) * cell:.2f}" '
        f'text-anchor="middle" dominant-baseline="central" font-size="{size:.1f}" '
        f'fill="{"#fff" if share > 0.3 else "#234"}">{100 * share:.0f}</text>'
        for row, line in enumerate(shares.tolist())
        for column, share in enumerate(line)
        if share >= 0.005
    ]


def _cells(shares: NDArray[np.float64]) -> str:
    # A square root, so that a confusion of a few percent is visible beside a diagonal of ninety.
    strength = np.sqrt(np.clip(shares, 0.0, 1.0))[..., None]
    rgb = np.rint(_LIGHT + (_DARK - _LIGHT) * strength).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, "PNG")
    return data_uri("image/png", stream.getvalue())


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
