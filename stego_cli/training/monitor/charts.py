"""Line charts as SVG for the report, in the colours of the page's light or dark scheme.

The charts are drawn small, so that text has a readable size on a telephone; wider screens show several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 360.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 16.0, 8.0, 32.0
_MOST_POINTS = 400  # of a line; more would not be visible

STYLE = """
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:20px}
.chart h3{font-size:.95rem;margin:0;font-weight:600}
.chart svg{display:block;width:100%;height:auto;font-size:11px;font-family:inherit;fill:var(--quiet)}
.chart .grid{stroke:var(--line);stroke-width:.7;fill:none}
.chart polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}
.legend{font-size:.82rem;color:var(--quiet);display:flex;flex-wrap:wrap;gap:2px 14px}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:5px;vertical-align:.25em}
"""


@dataclass(frozen=True)
class Line:
    """One line of a chart: its name in the legend, its colour as CSS, and its points, float64 (n,) each."""

    name: str
    hue: str
    xs: NDArray[np.float64]
    ys: NDArray[np.float64]


def line_chart(title: str, across: str, lines: Sequence[Line]) -> str:
    """Return a chart as HTML: title, legend if there are several lines, and an SVG.

    Points that are not finite are left out. A line of more than 400 points is reduced to means of neighbouring ones.

    Args:
        title: of the chart, and of the vertical axis.
        across: title of the horizontal axis.
        lines: drawn in this order, later ones on top.
    """
    lines = [_thinned(line) for line in lines]
    legend = "".join(f'<span><i style="background:{line.hue}"></i>{escape(line.name)}</span>' for line in lines)
    head = f'<div class="chart"><h3>{escape(title)}</h3>' + (
        f'<div class="legend">{legend}</div>' if len(lines) > 1 else ""
    )
    xs, ys = (np.concatenate([getattr(line, axis) for line in lines] or [np.zeros(0)]) for axis in ("xs", "ys"))
    if not len(xs):
        return f'{head}<p class="quiet">nothing to show</p></div>'
    right, top = _span(xs, 0.0), _span(ys, 0.04)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at_x(value: float) -> float:
        return _LEFT + wide * (value - right[0]) / (right[1] - right[0])

    def at_y(value: float) -> float:
        return _TOP + high * (top[1] - value) / (top[1] - top[0])

    parts = []
    for value, text in _ticks(*top):
        y = at_y(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>')
    for value, text in _ticks(*right):
        x = at_x(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {_HEIGHT - _BOTTOM}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{text}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">{escape(across)}</text>')
    for line in lines:
        points = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in zip(line.xs, line.ys, strict=True))
        parts.append(f'<polyline points="{points}" stroke="{line.hue}"><title>{escape(line.name)}</title></polyline>')
    return (
        f'{head}<svg viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg></div>"
    )


def _thinned(line: Line) -> Line:
    finite = np.isfinite(line.xs) & np.isfinite(line.ys)
    xs, ys = line.xs[finite], line.ys[finite]
    if len(xs) > _MOST_POINTS:
        groups = math.ceil(len(xs) / math.ceil(len(xs) / _MOST_POINTS))
        xs, ys = (np.array([part.mean() for part in np.array_split(values, groups)]) for values in (xs, ys))
    return Line(line.name, line.hue, xs, ys)


def _span(values: NDArray[np.float64], margin: float) -> tuple[float, float]:
    """Return the ends of an axis: the range of the values extended by `margin` of it, and never empty."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin, high = 0.0, high + max(abs(high), 1e-3)
        low -= high - low
    return low - margin * (high - low), high + margin * (high - low)


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return about five round values between the ends of an axis, and their labels."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    digits = max(0, -math.floor(math.log10(step)) + (1 if f"{step / power:.1f}" == "2.5" else 0))
    values = [step * index for index in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [(value, f"{value + 0.0:.{digits}f}" if digits <= 6 else f"{value:.1e}") for value in values]
