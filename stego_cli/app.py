"""The Typer app: registers the commands and maps errors to exit codes; nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from stego_cli import __version__
from stego_cli.commands import (
    classes,
    correspond,
    doctor,
    evaluate,
    export_onnx,
    gallery,
    import_checkpoint,
    models,
    prepare,
    score,
    segment,
    train,
)
from stego_cli.errors import StegoError

_HELP = """Segment folders of photographs into classes that nobody had to label (STEGO).

Exit codes: 0 all done; 1 internal error; 2 usage; 3 finished, some inputs failed; 4 no input; 5 model refused; 6 output
cannot be written; 130 and 143 stopped by a signal.

\b
Examples:
  stego segment ./photos --out ./masks           discover classes and segment, in one go
  stego train ./photos --out ./run               train a model to keep
  stego export-onnx ./run                        write stego.onnx, which segment then uses
  stego segment ./more --out ./masks2 --model stego.onnx
  stego gallery ./masks --edit                   look at the classes, name and join them
  stego doctor                                   does everything work on this machine?
"""


class _Group(TyperGroup):
    """A group that ends the process with the exit code of the error that a command raised."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  (typer's own context class differs between its versions)
        try:
            return super().invoke(ctx)
        except StegoError as error:
            from stego_cli.ui import show_error

            show_error(error)
            raise SystemExit(error.exit_code) from error
        except KeyboardInterrupt:
            from stego_cli.stop import leave
            from stego_cli.ui import Ui

            Ui().line("Stopped at once.", style="yellow")
            leave(130)


app = typer.Typer(
    cls=_Group,
    help=_HELP,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help needs no rich, which keeps `stego --help` instant
)
models_app = typer.Typer(help="List backbones and fetch their weights.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")
classes_app = typer.Typer(help=classes.HELP, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(classes_app, name="classes")
app.command("segment", help=segment.HELP)(segment.command)
app.command("train", help=train.HELP)(train.command)
app.command("export-onnx", help=export_onnx.HELP)(export_onnx.command)
app.command("import-checkpoint", help=import_checkpoint.HELP)(import_checkpoint.command)
app.command("prepare", help=prepare.HELP)(prepare.command)
app.command("score", help=score.HELP)(score.command)
app.command("evaluate", help=evaluate.HELP)(evaluate.command)
app.command("correspond", help=correspond.HELP)(correspond.command)
app.command("gallery", help=gallery.HELP)(gallery.command)
app.command("doctor", help=doctor.HELP)(doctor.command)
models_app.command("list", help=models.LIST_HELP)(models.list_command)
models_app.command("pull", help=models.PULL_HELP)(models.pull_command)
classes_app.command("list", help=classes.LIST_HELP)(classes.list_command)
classes_app.command("name", help=classes.NAME_HELP)(classes.name_command)
classes_app.command("colour", help=classes.COLOUR_HELP)(classes.colour_command)
classes_app.command("join", help=classes.JOIN_HELP)(classes.join_command)
classes_app.command("part", help=classes.PART_HELP)(classes.part_command)
classes_app.command("drop", help=classes.DROP_HELP)(classes.drop_command)
classes_app.command("apply", help=classes.APPLY_HELP)(classes.apply_command)


def _version(wanted: bool) -> None:
    if wanted:
        from stego_cli.ui import write_line

        write_line(f"stego {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
