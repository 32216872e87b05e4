"""What pages of the site are filled with when it is built, so that they cannot fall behind the code.

`zensical.toml` names this module; a page whose front matter sets `render_macros` may call its functions.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

_ENTITIES = {ord(character): f"&#{ord(character)};" for character in r"\*_[]<>&|"}
# Typer carries a copy of click whose classes move between its versions: commands and contexts are `Any` here.


def define_env(env: Any) -> None:  # noqa: ANN401  (the site generator's own class)
    """Offer the functions below to the pages."""
    env.macro(command_reference)
    env.macro(backbone_table)


def command_reference() -> str:
    """Return a Markdown section for every command: usage, help, examples, and options by panel."""
    import typer

    from stego_cli.app import app

    return "\n\n".join(_section(context) for context in contexts(typer.main.get_command(app), "stego"))


def backbone_table() -> str:
    """Return a Markdown table of the backbones."""
    from stego_cli.model.backbones import BACKBONES

    rows = [
        f"| `{row.name}` | {_escaped(row.about)} | {row.patch} | {row.width} | {row.blocks} "
        f"| {row.block % row.blocks} | {_escaped(row.licence)} |"
        for row in BACKBONES.values()
    ]
    return "\n".join(["| name | about | patch | width | blocks | default block | licence |", "|---" * 7 + "|", *rows])


def contexts(command: Any, name: str, parent: Any = None) -> Iterator[Any]:  # noqa: ANN401  (as above)
    """Yield the context of a command and, if it is a group, of all below it, in the order of the help."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    yield context
    for child in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from contexts(command.get_command(context, child), child, context)


class _Panels:
    """Takes what a command writes into its help, in place of a formatter: title and rows of each panel."""

    width = 10_000  # characters: nothing is cut short

    def __init__(self) -> None:
        self.panels: list[tuple[str, list[tuple[str, str]]]] = []

    @contextlib.contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Begin a panel."""
        self.panels.append((title, []))
        yield

    def write_dl(self, rows: list[tuple[str, str]], *_: object, **__: object) -> None:
        """Add rows to the panel."""
        self.panels[-1][1].extend(rows)


def _section(context: Any) -> str:  # noqa: ANN401  (as above)
    command, path = context.command, context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    taken = _Panels()
    command.format_options(context, taken)
    return "\n\n".join(
        [
            f"## {path} {{ #{path.removeprefix('stego ').replace(' ', '-')} }}",
            f"```text\n{usage}\n```",
            *_paragraphs(command.help or ""),
            '<div class="options" markdown>',
            *(_table(title, rows) for title, rows in taken.panels),
            "</div>",
        ]
    )


def _paragraphs(text: str) -> Iterator[str]:
    r"""Yield the paragraphs of a help text; one that `\b` begins keeps its lines, as in a terminal."""
    for paragraph in text.strip().split("\n\n"):
        if not paragraph.startswith("\b"):
            yield _escaped(paragraph)
            continue
        title, _, lines = paragraph.removeprefix("\b").strip("\n").partition("\n")
        yield f"{title}\n\n```text\n" + "\n".join(line.removeprefix("  ") for line in lines.splitlines()) + "\n```"


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    return "\n".join(
        [f"| {title} | |", "|---|---|", *(f"| `{names.strip()}` | {_escaped(text)} |" for names, text in rows)]
    )


def _escaped(text: str) -> str:
    """Join lines, and escape what Markdown and HTML take for markup outside code spans."""
    pieces = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(piece if piece.startswith("`") else piece.translate(_ENTITIES) for piece in pieces)
