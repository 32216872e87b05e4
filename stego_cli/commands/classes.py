"""`stego classes`: what the classes are, and edits of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stego_cli.commands.options import EventsOption

if TYPE_CHECKING:
    from stego_cli.tasks.classes import ClassesReport, Edit
    from stego_cli.tasks.split import SplitSource
    from stego_cli.ui import Ui

HELP = """See, name, join, split and drop the classes of masks, of a model or of a run.

Every class keeps the number that it was found with. Joined classes take the first number of those that are joined,
dropped ones become void (255), parts of a split class take the next free numbers, and no other number changes.

--to is a folder of masks (they are changed at once, and `segment` goes on with the new classes), a model file (joined
classes are added up inside it, so that the CRF sees them joined), a run (its export has the edits) or a classes file.

\b
Examples:
  stego classes list --to ./masks
  stego classes name 3=sky 5=water --to ./masks
  stego classes join road=4,7,9 --to ./masks
  stego classes split 5 --into 3 --to ./masks
  stego classes drop 10 --to stego.onnx
  stego classes apply classes.toml --to ./masks
  stego classes --from-labels ./labels --photos ./photos --to ./run
"""
LIST_HELP = """Show the classes: number, name, colour, share of pixels.

\b
Examples:
  stego classes list --to ./masks
  stego classes list --to stego.onnx --json
"""
NAME_HELP = """Give classes names: NUMBER=NAME, as many as you like.

\b
Examples:
  stego classes name 3=sky 5="wet sand" --to ./masks
"""
COLOUR_HELP = """Give classes colours: NUMBER=#rrggbb, as many as you like; a class's name does for its number.

\b
Examples:
  stego classes colour 3=#4682b4 road=#804080 --to ./masks
"""
JOIN_HELP = """Make several classes one: NAME=NUMBER,NUMBER,..., or only the numbers.

They take the first number of those given. In masks this cannot be taken back (make the masks again for that); in a
model, a run or a classes file it can: `stego classes part`.

\b
Examples:
  stego classes join road=4,7,9 --to ./masks
  stego classes join road=4,7,9 plants=1,2 --to stego.onnx
"""
PART_HELP = """Take joins back: the members are classes of their own again. Not in masks.

\b
Examples:
  stego classes part road --to stego.onnx
"""
SPLIT_HELP = """Make several classes of one: its codes in photographs are clustered anew.

The largest part keeps the number, the others get the next free ones; parts of a class with a name are called "NAME 1",
"NAME 2" and so on. A class that is a join is refused: split its members.

In masks, every pixel of the class goes to the most probable of its parts, and no other pixel changes: joining the parts
gives the masks that were there. That needs the model in MASKS/.stego and the photographs. A model file or a run needs
--photos; about 300 of them are read. A classes file only notes the split; `stego classes apply` makes it.

\b
Examples:
  stego classes split 5 --into 3 --to ./masks
  stego classes split road --to stego.onnx --photos ./photos
"""
DROP_HELP = """Make classes void: their pixels become 255, which training and scoring pass over.

\b
Examples:
  stego classes drop 10 12 --to ./masks
"""
APPLY_HELP = """Replace all edits by those of a classes file, such as `stego gallery --edit` writes.

Without a file, a change of masks that was stopped in the middle is finished.

\b
Examples:
  stego classes apply classes.toml --to ./masks
  stego classes apply classes.toml --to stego.onnx --renumber
  stego classes apply --to ./masks
"""

To = Annotated[
    Path, typer.Option("--to", metavar="MASKS|MODEL|RUN|FILE", help="What has the classes.", show_default=False)
]
Words = Annotated[list[str], typer.Argument(metavar="EDIT...", help="See above.", show_default=False)]
Photos = Annotated[
    Path | None, typer.Option(help="Photographs that a split takes codes from.", show_default="those of the masks")
]
Seed = Annotated[int, typer.Option(help="Of the clustering in a split.")]
Renumber = Annotated[
    bool, typer.Option("--renumber", help="Give the classes that are left the values 0, 1, 2 ... in masks.")
]


def list_command(to: To, as_json: EventsOption = False) -> None:
    """List classes."""
    from stego_cli.tasks.classes import list_classes
    from stego_cli.ui import Ui

    _show(list_classes(to), Ui(as_json), as_json)


def name_command(words: Words, to: To, as_json: EventsOption = False) -> None:
    """Name classes."""
    from stego_cli.tasks.classes import named

    _change(to, named(words), as_json)


def colour_command(words: Words, to: To, as_json: EventsOption = False) -> None:
    """Give classes colours."""
    from stego_cli.tasks.classes import coloured

    _change(to, coloured(words), as_json)


def join_command(words: Words, to: To, renumber: Renumber = False, as_json: EventsOption = False) -> None:
    """Join classes."""
    from stego_cli.tasks.classes import joining

    _change(to, joining(words), as_json, renumber)


def part_command(words: Words, to: To, as_json: EventsOption = False) -> None:
    """Take joins back."""
    from stego_cli.tasks.classes import parting

    _change(to, parting(words), as_json)


def split_command(
    word: Annotated[str, typer.Argument(metavar="CLASS", help="Its number or name.", show_default=False)],
    to: To,
    into: Annotated[int, typer.Option(metavar="N", min=2, help="Number of parts.")] = 2,
    photos: Photos = None,
    seed: Seed = 0,
    as_json: EventsOption = False,
) -> None:
    """Split a class."""
    from stego_cli.tasks.classes import splitting
    from stego_cli.tasks.split import SplitSource

    _change(to, splitting(word, into), as_json, source=SplitSource(photos, seed))


def drop_command(words: Words, to: To, renumber: Renumber = False, as_json: EventsOption = False) -> None:
    """Drop classes to void."""
    from stego_cli.tasks.classes import dropping

    _change(to, dropping(words), as_json, renumber)


def apply_command(
    to: To,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A classes file.", show_default="finish what was stopped")
    ] = None,
    renumber: Renumber = False,
    photos: Photos = None,
    seed: Seed = 0,
    as_json: EventsOption = False,
) -> None:
    """Apply a classes file."""
    from stego_cli.tasks.classes import applied, unchanged
    from stego_cli.tasks.split import SplitSource

    _change(to, unchanged if file is None else applied(file), as_json, renumber, SplitSource(photos, seed))


def _change(to: Path, edit: Edit, as_json: bool, renumber: bool = False, source: SplitSource | None = None) -> None:
    from stego_cli.errors import EXIT_SOME_FAILED
    from stego_cli.stop import Stop
    from stego_cli.tasks.classes import edit_classes, then_renumbered
    from stego_cli.ui import Ui

    ui = Ui(as_json)
    with Stop() as stop:
        given = (source,) if source else ()
        report = edit_classes(to, then_renumbered(edit) if renumber else edit, ui, stop, *given)
    _show(report, ui, as_json)
    if report.kind == "masks":
        ui.line(f"Masks changed: {report.written}.")
    if report.failed:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(report: ClassesReport, ui: Ui, as_json: bool) -> None:
    from stego_cli.classes_toml import hexadecimal
    from stego_cli.text import visible

    edits, rows = report.edits, []
    for entry in edits.legend:
        fields: dict[str, object] = {
            "number": entry.number,
            "value": entry.value,
            "name": entry.name,
            "named": entry.named,
            "colour": hexadecimal(entry.colour),
            "members": list(entry.members),
        }
        share, photographs = report.shares.get(entry.number), report.photographs.get(entry.number)
        fields |= {} if share is None else {"share": round(share, 6)}
        fields |= {} if photographs is None else {"photographs": photographs}
        ui.event("class", **fields)
        rows.append(
            (
                str(entry.number),
                visible(entry.name),
                hexadecimal(entry.colour),
                "" if entry.value == entry.number else str(entry.value),
                "" if len(entry.members) == 1 else ", ".join(map(str, entry.members)),
                "" if share is None else f"{share:.1%}",
                "" if photographs is None else str(photographs),
            )
        )
    ui.event("classes", of=report.kind, found=edits.found, left=len(edits.legend), dropped=list(edits.drop))
    columns = ("class", "name", "colour", "value in masks", "joined from", "share", "photographs")
    used = [index for index in range(len(columns)) if index < 3 or any(row[index] for row in rows)]
    if not as_json:
        ui.table("", [columns[index] for index in used], [[row[index] for index in used] for row in rows], out=True)
    if edits.drop:
        ui.line(f"Dropped to void (255): {', '.join(map(str, edits.drop))}.")


COMMANDS: dict[str, tuple[str, Callable[..., None]]] = {
    "list": (LIST_HELP, list_command),
    "name": (NAME_HELP, name_command),
    "colour": (COLOUR_HELP, colour_command),
    "join": (JOIN_HELP, join_command),
    "part": (PART_HELP, part_command),
    "split": (SPLIT_HELP, split_command),
    "drop": (DROP_HELP, drop_command),
    "apply": (APPLY_HELP, apply_command),
}
