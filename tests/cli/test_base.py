"""What the class of all subcommands does: options in panels, usage by metavar, errors with this command's flags."""

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from stego_cli.commands.base import StegoCommand, flag_names
from stego_cli.errors import OutputError, UsageError, setting


def command(
    photos: Annotated[Path, typer.Argument(metavar="PHOTOS", help="A folder.", show_default=False)],
    more: Annotated[list[Path] | None, typer.Argument(metavar="MORE")] = None,
    batch_size: Annotated[int, typer.Option(metavar="N", help="How many.", rich_help_panel="Machine")] = 4,
    crf: Annotated[bool, typer.Option("--crf/--no-crf", help="Refine.", rich_help_panel="Output")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-w", help="Replace.", rich_help_panel="Output")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Events.")] = False,
) -> None:
    if batch_size == 0:
        raise UsageError("must be 1 or more, got 0", f"Give {setting('crf', False)}.", field="batch_size")
    told = [setting("overwrite", True), setting("batch_size", 2), setting("photos"), setting("steps", 5)]
    raise OutputError(f"{photos} exists.", ", ".join(told))


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=StegoCommand)(command)
    return app


def test_help_has_arguments_first_panels_in_order_and_the_rest_last(app):
    lines = CliRunner().invoke(app, ["--help"]).stdout.splitlines()
    assert lines[0].endswith(" [OPTIONS] PHOTOS [MORE]...")
    assert [line for line in lines[1:] if line.endswith(":")] == ["Arguments:", "Machine:", "Output:", "Options:"]
    assert "  PHOTOS  A folder.  [required]" in lines
    assert lines[lines.index("Options:") + 1].startswith("  --json")


def test_an_error_is_shown_with_the_flags_of_the_command_and_ends_it_with_its_code(app):
    wrong = CliRunner().invoke(app, ["x", "--batch-size", "0"])
    assert wrong.exit_code == 2
    assert wrong.stderr.splitlines() == ["Error: --batch-size: must be 1 or more, got 0", "Give --no-crf."]
    blocked = CliRunner().invoke(app, ["x"])
    assert blocked.exit_code == 6
    assert blocked.stderr.splitlines() == ["Error: x exists.", "--overwrite, --batch-size 2, PHOTOS, steps=5"]


@pytest.mark.parametrize("words", [["s3://bucket/x"], ["x", "y", "memory://y"], ["HTTPS://host/x"]])
def test_an_address_is_refused_where_a_path_is_wanted(app, words):
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "must be a path of this machine, and " in refused.stderr
    assert "segment" in refused.stderr


@pytest.mark.parametrize("word", ["C:/x", "a:b", "x/s3:/y", "time 10:30/x"])
def test_a_path_with_a_colon_is_none(app, word):
    assert "exists" in CliRunner().invoke(app, [word]).stderr


def test_with_json_an_error_is_an_event_too(app):
    ended = CliRunner().invoke(app, ["x", "--batch-size", "0", "--json"])
    assert json.loads(ended.stdout) == {
        "event": "error",
        "message": "--batch-size: must be 1 or more, got 0",
        "remedy": "Give --no-crf.",
        "exit_code": 2,
    }


def test_a_setting_that_is_no_flag_of_the_command_stays_a_keyword(app):
    name = flag_names(typer.main.get_command(app))
    assert (name("steps", None), name("crf", True), name("photos", "a")) == ("steps", "--crf", "PHOTOS")
