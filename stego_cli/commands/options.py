"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

ClassesOption = Annotated[
    str | None,
    typer.Option(
        "--classes",
        help="A number, a file with one name a line, or cocostuff27, cityscapes, voc2012, potsdam3.",
        show_default="from the labels",
    ),
]
