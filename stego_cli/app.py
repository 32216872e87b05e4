"""The Typer app: a table of the commands; nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stego_cli.commands import (
    classes,
    convert,
    correspond,
    doctor,
    evaluate,
    export_onnx,
    gallery,
    import_checkpoint,
    models,
    name_classes,
    prepare,
    score,
    segment,
    train,
)
from stego_cli.commands.base import StegoCommand
from stego_cli.errors import OutputError
from stego_cli.version import __version__

_HELP = """Segment folders of photographs into classes that nobody had to label (STEGO).

\b
Examples:
  stego segment ./photos --out ./masks           discover classes and segment, in one go
  stego train ./photos --out ./run               train a model to keep
  stego export-onnx ./run                        write stego.onnx, which segment then uses
  stego segment ./more --out ./masks2 --model stego.onnx
  stego gallery ./masks --edit                   look at the classes, name and join them
  stego doctor                                   does everything work on this machine?

Exit codes: 0 all done; 1 internal error; 2 usage; 3 finished, some inputs failed; 4 no input; 5 model refused; 6 output
cannot be written; 130 and 143 stopped by a signal.
"""


class _Group(TyperGroup):
    """The group of all commands; a second Ctrl-C, which no command takes, ends the process at once."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  (typer's own context class differs between its versions)
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            from stego_cli.stop import leave

            leave(*(error.args or (130,)))


class _Classes(TyperGroup):
    """The group of `stego classes`, where --from-labels LABELS is another form of `from-labels LABELS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  (as above)
        """Read the words after `stego classes`."""
        return super().parse_args(ctx, name_classes.as_command(args))


app = typer.Typer(
    cls=_Group,
    help=_HELP,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no rich, which keeps `stego --help` instant
    context_settings={"max_content_width": 100},
)
models_app = typer.Typer(help="List backbones and fetch their weights.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")
classes_app = typer.Typer(cls=_Classes, help=classes.HELP, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(classes_app, name="classes")
_COMMANDS: dict[str, Any] = {
    "segment": segment,
    "train": train,
    "export-onnx": export_onnx,
    "import-checkpoint": import_checkpoint,
    "prepare": prepare,
    "score": score,
    "evaluate": evaluate,
    "correspond": correspond,
    "gallery": gallery,
    "convert": convert,
    "doctor": doctor,
}
for _name, _module in _COMMANDS.items():
    app.command(_name, cls=StegoCommand, help=_module.HELP)(_module.command)
for _name, (_help, _command) in (classes.COMMANDS | name_classes.COMMANDS).items():
    classes_app.command(_name, cls=StegoCommand, help=_help)(_command)
models_app.command("list", cls=StegoCommand, help=models.LIST_HELP)(models.list_command)
models_app.command("pull", cls=StegoCommand, help=models.PULL_HELP)(models.pull_command)


def _version(wanted: bool) -> None:
    if wanted:
        from stego_cli.ui import write_line

        try:
            write_line(f"stego {__version__}")
        except OutputError as error:
            raise typer.Exit(error.exit_code) from error
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
