"""The report: one page that needs no other file and no network, from a telephone's width upwards."""

from __future__ import annotations

import math
from html import escape

from stego_cli import __version__
from stego_cli.images.atomic import shown
from stego_cli.scoring.matrix import data_uri, matrix_svg, row_shares
from stego_cli.scoring.result import Score
from stego_cli.scoring.samples import Sample, Samples

_MOST_FAILURES = 100
_UNDEFINED = "-"
_STYLE = """
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
 color:#1d2733;background:#f4f6f9}
main{max-width:1120px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:1.7rem;margin:0 0 2px;line-height:1.2}
h2{font-size:1.15rem;margin:0 0 10px}
p{margin:6px 0}
.quiet{color:#5b6878;font-size:.9rem;overflow-wrap:anywhere}
section{background:#fff;border:1px solid #dde3ea;border-radius:10px;padding:18px;margin-top:18px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:10px;margin-top:18px}
.card{background:#fff;border:1px solid #dde3ea;border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{color:#5b6878;font-size:.85rem}
.matrix{display:block;width:100%;max-width:780px;margin:0 auto;height:auto;font-family:inherit;fill:#1d2733}
.matrix .frame{fill:none;stroke:#8b98a8;stroke-width:.6}
.matrix .axis{font-size:10px;fill:#5b6878}
.scale{display:flex;align-items:center;justify-content:center;gap:8px;font-size:.85rem;color:#5b6878;margin-top:10px}
.scale i{width:160px;height:10px;border-radius:3px;border:1px solid #dde3ea}
table{width:100%;border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:#5b6878;font-size:.82rem;padding:4px 6px;border-bottom:1px solid #dde3ea}
td{padding:4px 6px;border-bottom:1px solid #eef1f5;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap;width:4.4em}
th.n{white-space:normal}
td.bar{width:34%}
.swatch{display:inline-block;width:.85em;height:.85em;border-radius:3px;margin-right:.5em;vertical-align:-.06em;
 border:1px solid #0003}
.track{display:block;height:7px;border-radius:3px;background:#eef1f5;margin:2px 0}
.track i{display:block;height:100%;border-radius:3px}
.guess i{opacity:.45}
.sample{margin-top:16px}
.sample h3{font-size:.95rem;margin:0 0 6px;font-weight:600;overflow-wrap:anywhere}
.sample h3 span{font-weight:400;color:#5b6878}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(0,1fr));grid-auto-flow:column;gap:8px;max-width:1100px}
figure{margin:0;min-width:0}
figure img{display:block;width:100%;border-radius:5px;border:1px solid #dde3ea}
figcaption{font-size:.8rem;color:#5b6878}
ul{margin:6px 0;padding-left:20px;overflow-wrap:anywhere}
@media(max-width:560px){main{padding:18px 10px 32px}section{padding:12px}.row{gap:4px}
 tr{display:grid;grid-template-columns:1fr 3.2em 4em 5.2em;align-items:end;border-bottom:1px solid #eef1f5}
 td,th{border:0;padding:3px 4px}td.n,th.n{width:auto}th.bar{display:none}
 td.bar{grid-column:1/-1;width:auto;padding-top:0}}
"""


def report_page(score: Score, samples: Samples) -> str:
    """Return the page as HTML text."""
    body = [
        "<h1>Score of a set of masks</h1>",
        f'<p class="quiet">{_how(score)}</p>',
        _cards(score),
        _left_out(score),
        _matrix(score),
        _class_table(score),
        _photographs("Best photographs", samples.best),
        _photographs("Worst photographs", samples.worst),
        _failures(score),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Score: mIoU {_percent(score.miou)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in body if part)}\n"
        f'<p class="quiet">stego {escape(__version__)}</p></main></body></html>\n'
    )


def _how(score: Score) -> str:
    matching = {
        "hungarian": "one cluster for each class, so that most pixels agree",
        "majority": "each cluster is the class that most of its pixels have",
        "identity": "the numbers in the masks are classes",
    }[score.match]
    mode = "" if score.mode == "honest" else " Pixels predicted as no class are left out, as in the original code."
    return f"{score.images:,} pairs, {len(score.table.names)} classes. Matching: {matching}.{mode}"


def _cards(score: Score) -> str:
    figures = [
        ("mean IoU", _percent(score.miou)),
        ("pixel accuracy", _percent(score.accuracy)),
        ("frequency-weighted IoU", _percent(score.fwiou)),
        *([("boundary F-score", _percent(score.boundary_f))] if score.boundary_f is not None else []),
        ("adjusted mutual information", _UNDEFINED if math.isnan(score.ami) else f"{score.ami:.3f}"),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in figures)
        + "</div>"
    )


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
    # The stops follow the square root by which the cells are drawn.
    stops = ",".join(
        f"{colour} {at}%" for colour, at in (("#f7fafe", 0), ("#a7b9cf", 11), ("#5776a0", 45), ("#08306b", 100))
    )
    return (
        "<section><h2>Confusion matrix</h2>"
        '<p class="quiet">Each row is a class, and shows as what its pixels were predicted; rows sum to 100 %.</p>'
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
            f'<tr><td><span class="swatch" style="background:{hue}"></span>{escape(shown(name))}</td>'
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


def _photographs(title: str, samples: list[Sample]) -> str:
    if not samples:
        return ""
    return (
        f'<section><h2>{title}</h2><p class="quiet">By their own mean IoU, with the matching of the whole set. White: '
        f"no label. Magenta: predicted as no class.</p>{''.join(_sample(one) for one in samples)}</section>"
    )


def _sample(sample: Sample) -> str:
    figures = "".join(
        f'<figure><img alt="{escape(picture.caption)} of {escape(sample.name)}" '
        f'src="{data_uri(picture.mime, picture.content)}"><figcaption>{escape(picture.caption)}</figcaption></figure>'
        if picture.content
        else f"<figure><figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in sample.pictures
    )
    return (
        f'<div class="sample"><h3>{escape(sample.name)} <span>mIoU {_percent(sample.miou)}, accuracy '
        f'{_percent(sample.accuracy)}</span></h3><div class="row">{figures}</div></div>'
    )


def _failures(score: Score) -> str:
    if not score.failures:
        return ""
    items = [
        f"<li>{escape(shown(path))}: {escape(shown(reason))}</li>" for path, reason in score.failures[:_MOST_FAILURES]
    ]
    if len(score.failures) > _MOST_FAILURES:
        items.append(f"<li>and {len(score.failures) - _MOST_FAILURES:,} more</li>")
    return f"<section><h2>Failed pairs</h2><ul>{''.join(items)}</ul></section>"


def _percent(value: float) -> str:
    return _UNDEFINED if math.isnan(value) else f"{value:.1f}&nbsp;%"
