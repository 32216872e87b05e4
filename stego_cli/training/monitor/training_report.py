"""RUN/report.html: a summary of the training run, on one page that needs no other file and no network."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np

from stego_cli.images.atomic import write_bytes
from stego_cli.images.masks import encode_mask
from stego_cli.model.checkpoint import METRICS_FILE, Checkpoint
from stego_cli.model.head import Head
from stego_cli.model.provenance import MetricsLine
from stego_cli.page import Picture, cards, page, picture_row
from stego_cli.palette import palette
from stego_cli.text import displayed, shown
from stego_cli.training.features import Features
from stego_cli.training.monitor import charts
from stego_cli.training.monitor.charts import Line, line_chart
from stego_cli.training.monitor.histograms import BINS, Histograms, bin_centres
from stego_cli.training.monitor.sample_photos import SamplePhoto, predict, sample_photos
from stego_cli.training.pairs import TERMS
from stego_cli.training.step_metrics import COLLAPSED_COSINE, COLLAPSED_RANK, StepMetrics

REPORT_FILE = "report.html"
_PHOTOS, _SIDE = 6, 224  # number of photographs, and their shorter side in pixels
_HUES = dict(zip(TERMS, ("#d9534f", "#e0a100", "#3d8fd1"), strict=True))
_STYLE = """
.photos{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));gap:4px 24px}
.settings td:first-child{width:40%;color:var(--quiet)}
.settings td{font-size:.88rem}
"""


class Report:
    """A `stego_cli.training.monitor.watch.Watcher` that writes the page at the end."""

    name = "The report"

    def __init__(self, features: Features, folder: Path) -> None:
        self._features, self._folder = features, folder
        self._counts: Histograms = {}

    def step(self, metrics: StepMetrics, head: Head) -> None:
        """Do nothing: metrics.jsonl has them, also those from before an interruption."""

    def histograms(self, step: int, counts: Histograms) -> None:
        """Keep the newest histograms."""
        self._counts = counts

    def finish(self, checkpoint: Checkpoint) -> None:
        """Write the page."""
        steps = [json.loads(line) for line in (self._folder / METRICS_FILE).read_text().splitlines()]
        html = report_page(checkpoint, steps, self._counts, sample_photos(self._features, _PHOTOS, _SIDE))
        write_bytes(self._folder / REPORT_FILE, html.encode())


def report_page(checkpoint: Checkpoint, steps: list[MetricsLine], counts: Histograms, photos: list[SamplePhoto]) -> str:
    """Return the page as HTML text.

    Args:
        checkpoint: the result of training.
        steps: the lines of metrics.jsonl.
        counts: the distributions of F and S at the end; empty if there are none.
        photos: shown beside their masks.
    """
    return page(
        f"Training: {len(checkpoint.cluster)} classes",
        charts.STYLE + _STYLE,
        [
            "<h1>Training run</h1>",
            f'<p class="quiet">{_about(checkpoint)}</p>',
            _cards(checkpoint, steps),
            f'<p class="quiet">{verdict(steps)}</p>',
            _photographs(checkpoint, photos),
            _curves(steps),
            _distributions(counts),
            _classes(checkpoint),
            _settings(checkpoint),
        ],
    )


def _about(checkpoint: Checkpoint) -> str:
    photographs = checkpoint.provenance.photographs or 0
    labels = "labels for the linear probe alone" if checkpoint.linear is not None else "no labels"
    return (
        f"{photographs:,} photograph{'' if photographs == 1 else 's'}, {labels}; backbone "
        f"{escape(checkpoint.backbone.name)}, block {checkpoint.block}; seed {checkpoint.settings.seed}."
    )


def _cards(checkpoint: Checkpoint, steps: list[MetricsLine]) -> str:
    wanted = checkpoint.settings.steps
    values = [
        ("classes", f"{len(checkpoint.cluster)}"),
        ("steps", f"{len(steps):,}" + (f" of {wanted:,}" if len(steps) < wanted else "")),
    ]
    if steps:
        last = steps[-1]
        values += [
            ("loss, last step", f"{last['loss']:+.3f}"),
            *((f"S {term}", f"{round(last['correspondences'][term], 2) + 0.0:.2f}") for term in reversed(TERMS)),
            ("effective rank of the codes", f"{last['rank']:.1f}"),
        ]
    if (accuracy := checkpoint.provenance.linear_accuracy) is not None:
        values.append(("linear probe, on its own points", f"{accuracy:.1f}&nbsp;%"))
    return cards(values)


def verdict(steps: list[MetricsLine]) -> str:
    """Return a sentence on what the metrics of the last step mean."""
    if not steps:
        return "No step was done: the classes are those of a head that was never trained."
    last = steps[-1]
    negative, inter, intra = (last["correspondences"][term] for term in TERMS)
    if negative > COLLAPSED_COSINE or last["rank"] < COLLAPSED_RANK:
        return "The codes have collapsed: unrelated photographs correspond as much as a photograph with itself."
    if intra > inter > negative:
        return "As it should be: codes correspond most within a photograph, less with a neighbour, least with others."
    return "Unusual: codes should correspond most within a photograph, less with a neighbour, least with others."


def _curves(steps: list[MetricsLine]) -> str:
    if not steps:
        return ""
    at = np.array([line["step"] for line in steps], dtype=np.float64)

    def line(name: str, hue: str, value: Callable[[MetricsLine], float]) -> Line:
        return Line(name, hue, at, np.array([value(each) for each in steps], dtype=np.float64))

    def of_terms(kind: str) -> list[Line]:
        return [line(term, _HUES[term], lambda each, term=term: each[kind][term]) for term in TERMS]  # type: ignore[misc]

    drawn = [
        line_chart("Loss", "step", [line("loss", "var(--text)", lambda each: each["loss"])]),
        line_chart("Terms of the loss, unweighted", "step", of_terms("terms")),
        line_chart("Mean correspondence of codes, S", "step", of_terms("correspondences")),
        line_chart("Shift b of each term", "step", of_terms("b")),
        line_chart("Effective rank of the codes", "step", [line("rank", "var(--text)", lambda each: each["rank"])]),
    ]
    return (
        '<section><h2>Over the steps</h2><p class="quiet">Pairs of patches: intra within a photograph, inter with one '
        "of its nearest neighbours, negative with another photograph. Pairs whose features correspond above b are "
        f'pulled together, the others apart.</p><div class="charts">{"".join(drawn)}</div></section>'
    )


def _distributions(counts: Histograms) -> str:
    if not counts:
        return ""
    centres = bin_centres()
    drawn = []
    for kind, title in (("F", "Features, F (centred)"), ("S", "Codes, S")):
        lines = [
            Line(term, _HUES[term], centres, (100 * each / each.sum().clamp(min=1)).double().numpy())
            for term in TERMS
            if (each := counts.get((kind, term))) is not None
        ]
        drawn.append(line_chart(f"{title}: % of pairs", "correspondence", lines))
    return (
        '<section><h2>Correspondences at the end</h2><p class="quiet">How the cosines of all pairs of a batch are '
        f'distributed, in bins of {2 / BINS:g}.</p><div class="charts">{"".join(drawn)}</div></section>'
    )


def _photographs(checkpoint: Checkpoint, photos: list[SamplePhoto]) -> str:
    if not photos:
        return ""
    colours = palette(len(checkpoint.cluster))
    rows = []
    for photo in photos:
        labels = predict(photo, checkpoint.head, checkpoint.cluster, checkpoint.settings.smoothing)
        mask = encode_mask(labels, colours)
        pictures = (Picture("photograph", "image/jpeg", photo.jpeg()), Picture("mask, without CRF", "image/png", mask))
        rows.append(picture_row(shown(photo.path.name), "", pictures))
    return (
        '<section><h2>Photographs and masks</h2><p class="quiet">Some of those it was trained on; a colour is a class, '
        f'as in the table of classes.</p><div class="photos">{"".join(rows)}</div></section>'
    )


def _classes(checkpoint: Checkpoint) -> str:
    shares = checkpoint.shares
    longest = max([*shares, 1e-9])
    rows = [
        f'<tr><td><span class="swatch" style="background:rgb{colour}"></span>class {index}</td>'
        f'<td class="n">{100 * share:.1f}&nbsp;%</td>'
        f'<td class="bar"><span class="track"><i style="width:{100 * share / longest:.2f}%;background:rgb{colour}">'
        "</i></span></td></tr>"
        for index, (colour, share) in enumerate(zip(palette(len(shares)), shares, strict=True))
    ]
    return (
        '<section><h2>Classes</h2><p class="quiet">Share of the training patches.</p>'
        f"<table><tbody>{''.join(rows)}</tbody></table></section>"
    )


def _settings(checkpoint: Checkpoint) -> str:
    plain = {
        key: value
        for key, value in checkpoint.provenance.as_config().items()
        if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    }
    everything = {**asdict(checkpoint.settings), **plain}
    rows = [
        f"<tr><td>{escape(key)}</td><td>{escape(displayed(_text(value), 4000))}</td></tr>"
        for key, value in everything.items()
    ]
    return f'<section><h2>Settings</h2><table class="settings"><tbody>{"".join(rows)}</tbody></table></section>'


def _text(value: object) -> str:
    return " / ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
