"""Charts of the report."""

import re

import numpy as np

from stego_cli.training.monitor.charts import Line, line_chart


def line(ys: list[float], name: str = "a<b") -> Line:
    return Line(name, "#123456", np.arange(1.0, len(ys) + 1), np.array(ys))


def points(html: str) -> list[tuple[float, float]]:
    (text,) = re.findall(r'points="([^"]*)"', html)
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_higher_values_are_drawn_higher_and_names_are_escaped() -> None:
    html = line_chart("Loss <x>", "step", [line([1, 3, 2])])
    (_, first), (_, second), (_, third) = points(html)
    assert second < third < first
    assert "Loss &lt;x&gt;" in html
    assert "a&lt;b" in html
    assert re.findall(r'text-anchor="end">([\d.]+)<', html) == ["1.0", "1.5", "2.0", "2.5", "3.0"]


def test_equal_values_lone_points_and_none_are_drawn() -> None:
    for ys in ([2.0, 2.0], [0.0], [-1e-7, -1e-7], [1e9]):
        assert all(0 <= x <= 360 and 0 <= y <= 200 for x, y in points(line_chart("b", "step", [line(ys)])))
    assert "nothing to show" in line_chart("b", "step", [])
    assert "nothing to show" in line_chart("b", "step", [line([np.nan])])


def test_what_is_not_finite_is_left_out_and_many_points_become_few() -> None:
    assert len(points(line_chart("b", "step", [line([1, np.nan, 2, np.inf])]))) == 2
    drawn = points(line_chart("b", "step", [line(np.linspace(0, 1, 7000).tolist())]))
    assert 300 < len(drawn) <= 400
    assert [y for _, y in drawn] == sorted((y for _, y in drawn), reverse=True)
