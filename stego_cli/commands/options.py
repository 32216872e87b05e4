"""Options that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stego_cli.progress import Progress

CrfEngineOption = Annotated[
    str,
    typer.Option(
        "--crf-engine",
        metavar="ENGINE",
        help="auto, cpu (native), cuda, torch or pydensecrf: equal masks at different speeds.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Photographs refined at once.", show_default="one a core")
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        help="A number, a file with one name a line, or cocostuff27, cityscapes, voc2012, potsdam3.",
        show_default="the data set's, else from the labels",
    ),
]


def chosen_engine(name: str, progress: Progress, on_gpu: bool = False) -> str:
    """Return the CRF engine to use; say so where it is not the fastest.

    Raises:
        UsageError: there is no such engine, or it cannot be used here.
    """
    from stego_cli.crf import choose_engine

    engine, why = choose_engine(name, on_gpu)
    if name == "auto" and engine != ("cuda" if on_gpu else "cpu"):
        progress.note(f"CRF engine {engine} ({why}).")
    return engine
