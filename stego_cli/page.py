"""What the HTML reports share: one page that needs no other file and no network, light or dark as the reader's system
is set, also on a narrow screen."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from stego_cli.text import displayed
from stego_cli.version import __version__

# What a page begins with.
OURS = re.compile(
    rb'<!doctype html>\s*<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="stego">'
)
# Colours are variables, so that the dark scheme replaces them in one place.
_STYLE = """
:root{color-scheme:light dark;--text:#1d2733;--quiet:#5b6878;--page:#f4f6f9;--card:#fff;--line:#dde3ea;--faint:#eef1f5}
@media(prefers-color-scheme:dark){
 :root{--text:#e3e8ef;--quiet:#9aa7b8;--page:#12161c;--card:#1b212a;--line:#333d4a;--faint:#27303b}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
 color:var(--text);background:var(--page)}
main{max-width:1120px;margin:0 auto;padding:28px 16px 48px}
h1{font-size:1.7rem;margin:0 0 2px;line-height:1.2}
h2{font-size:1.15rem;margin:0 0 10px}
p{margin:6px 0}
.quiet{color:var(--quiet);font-size:.9rem;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:18px;margin-top:18px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(138px,1fr));gap:10px;margin-top:18px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:1.55rem;line-height:1.25;font-variant-numeric:tabular-nums}
.card span{color:var(--quiet);font-size:.85rem}
table{width:100%;border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;color:var(--quiet);font-size:.82rem;padding:4px 6px;
 border-bottom:1px solid var(--line)}
td{padding:4px 6px;border-bottom:1px solid var(--faint);overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap;width:4.4em}
th.n{white-space:normal}
td.bar{width:34%}
.swatch{display:inline-block;width:.85em;height:.85em;border-radius:3px;margin-right:.5em;vertical-align:-.06em;
 border:1px solid #0003}
.track{display:block;height:7px;border-radius:3px;background:var(--faint);margin:2px 0}
.track i{display:block;height:100%;border-radius:3px}
.sample{margin-top:16px}
.sample h3{font-size:.95rem;margin:0 0 6px;font-weight:600;overflow-wrap:anywhere}
.sample h3 span{font-weight:400;color:var(--quiet)}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(0,1fr));grid-auto-flow:column;gap:8px;max-width:1100px}
figure{margin:0;min-width:0}
figure img{display:block;width:100%;border-radius:5px;border:1px solid var(--line)}
figcaption{font-size:.8rem;color:var(--quiet)}
ul{margin:6px 0;padding-left:20px;overflow-wrap:anywhere}
@media(max-width:560px){main{padding:18px 10px 32px}section{padding:12px}.row{gap:4px}}
"""


@dataclass(frozen=True)
class Picture:
    """An encoded picture and its caption; `content` is empty where there is no picture to show."""

    caption: str
    mime: str
    content: bytes


def page(title: str, style: str, parts: Iterable[str]) -> str:
    """Return a page as HTML text.

    Args:
        title: of the window, as HTML text.
        style: CSS of this report; --text, --quiet, --card, --line and --faint are colours of the scheme.
        parts: HTML of the body, in order; empty ones are left out.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="stego">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in parts if part)}\n"
        f'<p class="quiet">stego {escape(__version__)}</p></main></body></html>\n'
    )


def cards(metrics: Iterable[tuple[str, str]]) -> str:
    """Return the row of the most important metrics: name and value, both HTML."""
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in metrics)
        + "</div>"
    )


def picture_row(name: str, about: str, pictures: Iterable[Picture]) -> str:
    """Return pictures side by side below a heading: the name of what they show (plain text), and `about` it (HTML)."""
    shown = "".join(
        f'<figure><img alt="{escape(picture.caption)} of {escape(displayed(name))}" '
        f'src="{data_uri(picture.mime, picture.content)}"><figcaption>{escape(picture.caption)}</figcaption></figure>'
        if picture.content
        else f"<figure><figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    head = f"<h3>{escape(displayed(name))} <span>{about}</span></h3>"
    return f'<div class="sample">{head}<div class="row">{shown}</div></div>'


def data_uri(mime: str, content: bytes) -> str:
    """Return `content` as a data: address."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
