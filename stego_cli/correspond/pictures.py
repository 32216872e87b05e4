"""Pictures of correspondences, drawn by matplotlib without a display: heat maps over photographs, and curves."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from stego_cli.correspond.label_agreement import ALL, Agreement, Curve
from stego_cli.correspond.point_maps import PhotoMaps
from stego_cli.text import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 3.1  # inches, the width of a photograph
_TALLEST = 1.6  # height of a photograph's cell over its width
_BAR = 0.12  # inches, the height of a colour bar
_DPI = 120
_LONGEST_NAME = 34
TITLES = {  # of pairings
    ALL: "all pairs",
    "within": "within a photograph",
    "neighbour": "with a nearest neighbour",
    "other": "with another photograph",
}
_HUES = {"F": "#0072b2", "S": "#d55e00", "colour": "#777777"}
_CURVE_POINTS = 1000


def draw_maps(found: list[PhotoMaps], points: Sequence[tuple[float, float]], names: dict[str, str]) -> bytes:
    """Return a PNG: a row for each point and photograph, with the photograph and a heat map for each kind.

    Args:
        found: the photographs and their maps; the points lie in the first.
        points: x and y, pixels of the first photograph.
        names: by kind: which backbone or run it is of.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    kinds = list(found[0].maps[0])
    rows = [(index, photo) for index in range(len(points)) for photo in found]
    heights = [_CELL * min(_TALLEST, photo.photo.size[1] / photo.photo.size[0]) for _, photo in rows]
    figure = Figure((_CELL * (1 + len(kinds)), sum(heights) + 0.1 * len(rows) + 1.5), dpi=_DPI, layout="constrained")
    # The colour bars have a row of their own, which keeps the rows above aligned.
    axes: Any = figure.subplots(len(rows) + 1, 1 + len(kinds), squeeze=False, height_ratios=[*heights, _BAR])
    axes[-1, 0].axis("off")
    axes[0, 0].set_title("photograph", fontsize=9)
    for row, (_, photo) in enumerate(rows):
        _photograph(axes[row, 0], photo)
    for column, kind in enumerate(kinds, start=1):
        values = np.concatenate([photo.maps[index][kind].cosines.numpy().ravel() for index, photo in rows])
        norm = Normalize(float(values.min()), float(values.max()))
        axes[0, column].set_title(f"{kind}: {_short(names[kind])}", fontsize=9, parse_math=False)
        for row, (index, photo) in enumerate(rows):
            _heat(axes[row, column], photo, index, kind, norm)
        bar = figure.colorbar(ScalarMappable(norm, "inferno"), cax=axes[-1, column], orientation="horizontal")
        bar.set_label("cosine with the point", fontsize=9)
    for row, (index, photo) in enumerate(rows):
        for column in range(1 + len(kinds)):
            if photo is found[0]:
                _mark(axes[row, column], points[index], "+")
            elif column:
                _mark(axes[row, column], photo.maps[index][kinds[column - 1]].best, "o")
    at = "; ".join(f"{x:g}, {y:g}" for x, y in points)
    figure.suptitle(
        f"Correspondence with the point{'s' if len(points) > 1 else ''} {at} of {_short(found[0].path.name)}\n"
        "+ the point" + ("     o the patch that corresponds most" if len(found) > 1 else ""),
        fontsize=10,
        parse_math=False,
    )
    return _png(figure)


def _photograph(axis: Any, photo: PhotoMaps) -> None:  # noqa: ANN401  (matplotlib's stubs are incomplete)
    width, height = photo.photo.size
    axis.imshow(photo.photo.pixels, extent=(0, width, height, 0))
    axis.set_ylabel(_short(photo.path.name), fontsize=9, parse_math=False)
    axis.set(xticks=[], yticks=[])


def _heat(axis: Any, photo: PhotoMaps, index: int, kind: str, norm: Any) -> None:  # noqa: ANN401  (as above)
    """Draw a heat map over its photograph in grey."""
    width, height = photo.photo.size
    extent = (0, width, height, 0)
    axis.imshow(np.asarray(Image.fromarray(photo.photo.pixels).convert("L")), cmap="gray", extent=extent)
    axis.imshow(
        photo.maps[index][kind].cosines.numpy(),
        cmap="inferno",
        norm=norm,
        alpha=0.7,
        extent=extent,
        interpolation="bilinear",
    )
    axis.set(xticks=[], yticks=[])


def _mark(axis: Any, at: tuple[float, float], marker: str) -> None:  # noqa: ANN401  (as above)
    """Draw a mark that is visible on light and dark."""
    for colour, width in (("black", 3.5), ("white", 1.5)):
        axis.plot(*at, marker, markersize=11, markeredgewidth=width, markeredgecolor=colour, markerfacecolor="none")


def draw_curves(agreement: Agreement, names: dict[str, str]) -> bytes:
    """Return a PNG: precision over recall for all pairs and for each pairing, with the base rate.

    Args:
        agreement: how well correspondences predict equal labels.
        names: by kind: which backbone or run it is of.
    """
    from matplotlib.figure import Figure

    pairings = list(agreement.base_rates)
    columns = min(2, len(pairings))
    rows = -(-len(pairings) // columns)
    figure = Figure((4.6 * columns, 4.5 * rows + 0.8), dpi=_DPI, layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis, pairing in zip(axes.ravel(), pairings, strict=False):
        for kind, curves in agreement.curves.items():
            curve = curves[pairing]
            label = f"{kind}: average precision {curve.average_precision:.3f}"
            axis.plot(*_thinned(curve), color=_HUES[kind], label=label, linewidth=1.8)
        rate = agreement.base_rates[pairing]
        axis.axhline(rate, color="black", linestyle="--", linewidth=1, label=f"chance: {rate:.3f}")
        axis.set_title(f"{TITLES[pairing]} ({agreement.pairs[pairing]:,} pairs)", fontsize=10)
        axis.set(xlim=(0, 1), ylim=(0, 1.01))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=2, frameon=False)
    figure.supxlabel("recall: share of the pairs with one label that are found", fontsize=9)
    figure.supylabel("precision: share of the found pairs that have one label", fontsize=9)
    about = ";  ".join(f"{kind}: {_short(name)}" for kind, name in names.items())
    figure.suptitle(
        f"Do correspondences predict that two pixels share a label? {agreement.photographs:,} photographs\n{about}",
        fontsize=10,
        parse_math=False,
    )
    return _png(figure)


def _thinned(curve: Curve) -> tuple[Any, Any]:
    """Return recall and precision reduced to as many points as are visible."""
    chosen = np.unique(np.linspace(0, len(curve.recall) - 1, min(_CURVE_POINTS, len(curve.recall))).round().astype(int))
    return curve.recall[chosen], curve.precision[chosen]


def _short(name: str) -> str:
    text = shown(name)
    return text if len(text) <= _LONGEST_NAME else "…" + text[1 - _LONGEST_NAME :]


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # characters that the font lacks are drawn as boxes
        figure.savefig(stream, format="png", metadata={"Software": "stego"})  # by which it is known as ours
    return stream.getvalue()
