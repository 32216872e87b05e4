"""The report of a score: one HTML page that needs no other file and no network, also on a narrow screen."""

from __future__ import annotations

import math
from html import escape

from stego_cli.page import cards, page, picture_row
from stego_cli.scoring.matrix import matrix_svg, row_shares
from stego_cli.scoring.report_pictures import ShownPhoto, ShownPhotos
from stego_cli.scoring.result import Score
from stego_cli.text import displayed

_LONGEST_NAME = 200  # characters of a class
_MOST_FAILURES = 100
_UNDEFINED = "-"
_STYLE = """
.matrix{display:block;width:100%;max-width:780px;margin:0 auto;height:auto;font-family:inherit;fill:var(--text)}
.matrix .frame{fill:none;stroke:#8b98a8;stroke-width:.6}
.matrix .axis{font-size:10px;fill:var(--quiet)}
.scale{display:flex;align-items:center;justify-content:center;gap:8px;font-size:.85rem;color:var(--quiet);
 margin-top:10px}
.scale i{width:160px;height:10px;border-radius:3px;border:1px solid var(--line)}
.guess i{opacity:.45}
@media(max-width:560px){
 tr{display:grid;grid-template-columns:1fr 3.2em 4em 5.2em;align-items:end;border-bottom:1px solid var(--faint)}
 td,th{border:0;padding:3px 4px}td.n,th.n{width:auto}th.bar{display:none}
 td.bar{grid-column:1/-1;width:auto;padding-top:0}}
"""


def report_page(score: Score, photos: ShownPhotos) -> str:
    """Return the page as HTML text."""
    body = [
        "<h1>Score of a set of masks</h1>",
        f'<p class="quiet">{_how(score)}</p>',
        _cards(score),
        _left_out(score),
        _matrix(score),
        _class_table(score),
        _photographs("Best photographs", photos.best),
        _photographs("Worst photographs", photos.worst),
        _failures(score),
    ]
    return page(f"Score: mIoU {_percent(score.miou)}", _STYLE, body)


def _how(score: Score) -> str:
    matching = {
        "hungarian": "one cluster for each class, so that as many pixels as possible agree",
        "majority": "each cluster is the class of most of its pixels",
        "identity": "the numbers in the masks are the classes",
    }[score.match]
    mode = "" if score.mode == "honest" else " Pixels predicted as no class are left out, as in the original code."
    return f"{score.images:,} pairs, {len(score.table.names)} classes. Matching: {matching}.{mode}"


def _cards(score: Score) -> str:
    metrics = [
        ("mean IoU", _percent(score.miou)),
        ("pixel accuracy", _percent(score.accuracy)),
        ("frequency-weighted IoU", _percent(score.fwiou)),
        *([("boundary F-score", _percent(score.boundary_f))] if score.boundary_f is not None else []),
        ("adjusted mutual information", _UNDEFINED if math.isnan(score.ami) else f"{score.ami:.3f}"),
    ]
    return cards(metrics)


def _left_out(score: Score) -> str:
    wrong = "left out" if score.mode == "stego" else "count as wrong"
    facts = [
        (score.unmatched_pixels, f"pixels predicted as a cluster without a class ({wrong})"),
        (score.ignored_pixels, "pixels ignored, because their label is of no class"),
        (score.resized, "masks resized to their label's size"),
        (score.void, "labels without a pixel of any class"),
        (len(score.failures), "pairs failed"),
    ]
    return f'<p class="quiet">{"; ".join(f"{count:,} {what}" for count, what in facts if count)}</p>'


def _matrix(score: Score) -> str:
    svg = matrix_svg(row_shares(score.confusion, score.unmatched), score.table.names, score.table.colours)
    # The stops follow the square root with which the cells are drawn.
    stops = ",".join(
        f"{colour} {at}%" for colour, at in (("#f7fafe", 0), ("#a7b9cf", 11), ("#5776a0", 45), ("#08306b", 100))
    )
    return (
        "<section><h2>Confusion matrix</h2>"
        '<p class="quiet">Each row is a class and shows what its pixels were predicted as; rows sum to 100 %.</p>'
        f'{svg}<div class="scale">0 %<i style="background:linear-gradient(90deg,{stops})"></i>100 %</div></section>'
    )


def _class_table(score: Score) -> str:
    pixels, predicted = score.pixels.tolist(), score.confusion.sum(axis=0).tolist()
    total = sum(pixels) or 1
    longest = max([*pixels, *predicted, 1])
    rows = []
    for name, colour, iou, count, guess in zip(
        score.table.names, score.table.colours, score.ious.tolist(), pixels, predicted, strict=True
    ):
        hue = f"rgb{colour}"
        bars = "".join(
            f'<span class="track {kind}"><i style="width:{100 * value / longest:.2f}%;background:{hue}"></i></span>'
            for kind, value in (("label", count), ("guess", guess))
        )
        rows.append(
            f'<tr><td><span class="swatch" style="background:{hue}"></span>'
            f"{escape(displayed(name, _LONGEST_NAME))}</td>"
            f'<td class="n">{_UNDEFINED if math.isnan(iou) else f"{iou:.1f}"}</td>'
            f'<td class="n">{100 * count / total:.2f}</td><td class="n">{100 * guess / total:.2f}</td>'
            f'<td class="bar">{bars}</td></tr>'
        )
    return (
        '<section><h2>Classes</h2><p class="quiet">Bars: share of the labels and, paler, of the predictions.</p>'
        "<table><thead><tr><th>class</th><th class=n>IoU %</th><th class=n>labels %</th>"
        "<th class=n>predicted %</th><th class=bar></th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></section>"
    )


def _photographs(title: str, photos: list[ShownPhoto]) -> str:
    if not photos:
        return ""
    return (
        f'<section><h2>{title}</h2><p class="quiet">By their mean IoU, with the matching of the whole set. '
        f"White: no label. Magenta: predicted as no class.</p>{''.join(map(_photograph, photos))}</section>"
    )


def _photograph(photo: ShownPhoto) -> str:
    about = f"mIoU {_percent(photo.miou)}, accuracy {_percent(photo.accuracy)}"
    return picture_row(photo.name, about, photo.pictures)


def _failures(score: Score) -> str:
    if not score.failures:
        return ""
    items = [
        f"<li>{escape(displayed(path))}: {escape(displayed(reason))}</li>"
        for path, reason in score.failures[:_MOST_FAILURES]
    ]
    if len(score.failures) > _MOST_FAILURES:
        items.append(f"<li>and {len(score.failures) - _MOST_FAILURES:,} more</li>")
    return f"<section><h2>Failed pairs</h2><ul>{''.join(items)}</ul></section>"


def _percent(value: float) -> str:
    return _UNDEFINED if math.isnan(value) else f"{value:.1f}&nbsp;%"
