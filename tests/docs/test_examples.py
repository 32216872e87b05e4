"""Every `stego` command that a page shows uses a subcommand and options that there are."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import typer

import stego_cli
from stego_cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
BLOCK = re.compile(r"^```(?:sh|text)?\n(.*?)^```|((?:^    .+\n)+)", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:^|&& |--no-python |bin/)(stego [a-z].*)")


def calls():
    for page in PAGES:
        for fenced, indented in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in (fenced or indented).splitlines():
                if found := CALL.search(line.strip()):
                    call = re.split(r"\s+#", found[1])[0]
                    yield pytest.param(call, id=f"{page.stem}: {call}")


@pytest.mark.parametrize("call", list(calls()))
def test_commands_on_pages_use_options_that_there_are(call):
    command = typer.main.get_command(app)
    _, *words = call.split()
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    assert set(re.findall(r"(?<!\S)\[?(--?[a-z][a-z-]*)", " ".join(words))) <= options | {"--help"}


def python_calls():
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("stego_cli."):
                    yield pytest.param(node, id=f"{page.stem}: {ast.unparse(node)}")


@pytest.mark.parametrize("call", list(python_calls()))
def test_python_on_pages_calls_functions_with_arguments_that_there_are(call):
    function = getattr(stego_cli, ast.unparse(call.func).removeprefix("stego_cli."))
    keywords = {keyword.arg: None for keyword in call.keywords}
    inspect.signature(function).bind(*call.args, **keywords)
