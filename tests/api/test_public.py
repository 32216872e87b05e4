"""The names that `stego_cli` offers: pinned, loaded when they are used, and in step with the commands."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import stego_cli
from stego_cli.commands import evaluate, export_onnx, prepare, score, segment, train

NAMES = """
Model ModelError NoInputError OutputError PhotoError SourceError StegoError Stopped UsageError WeightsError
__version__ evaluate export_onnx prepare score segment train
"""
# Of the commands alone: what they write to standard output, and the dry runs that only show something.
COMMANDS_OWN = {"as_json", "json_file", "dry_run"}
ABOUT_THEM = {"evaluate": {"overwrite"}}  # options that are about nothing else: that of the JSON file
MODULES = {
    "segment": segment,
    "train": train,
    "export_onnx": export_onnx,
    "score": score,
    "evaluate": evaluate,
    "prepare": prepare,
}


def test_the_public_names_are_these_and_all_of_them_load():
    assert sorted(stego_cli.__all__) == NAMES.split()
    for name in stego_cli.__all__:
        assert getattr(stego_cli, name) is not None
    assert set(NAMES.split()) <= set(dir(stego_cli))
    with pytest.raises(AttributeError, match="no attribute 'segmentation'"):
        stego_cli.segmentation  # noqa: B018  (looking is the test)


def test_importing_it_loads_nothing_heavy():
    heavy = ("numpy", "torch", "typer", "rich", "PIL", "onnxruntime", "stego_cli.api", "stego_cli.ui")
    program = f"import sys, stego_cli; print(*(name for name in {heavy} if name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"


def plain(default: object) -> object:
    """A default as both sides have it: a path is its text; a list that is not given is empty."""
    return str(default) if isinstance(default, Path) else () if default in (None, ()) else default


@pytest.mark.parametrize("name", MODULES)
def test_a_function_has_the_parameters_and_defaults_of_its_command(name: str) -> None:
    function, command = getattr(stego_cli, name), MODULES[name].command
    ours, theirs = (dict(inspect.signature(each).parameters) for each in (function, command))
    assert plain(ours.pop("progress").default) == ()
    for own in (COMMANDS_OWN | ABOUT_THEM.get(name, set())) & set(theirs):
        del theirs[own]
    assert {key: plain(one.default) for key, one in ours.items()} == {
        key: plain(one.default) for key, one in theirs.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_a_function_takes_the_choices_of_its_command_and_documents_every_argument(name: str) -> None:
    function, command = getattr(stego_cli, name), MODULES[name].command
    ours, theirs = (typing.get_type_hints(each) for each in (function, command))
    for key, kind in ours.items():
        if typing.get_origin(theirs.get(key)) is typing.Literal:
            assert kind == theirs[key]
    documented = inspect.getdoc(function) or ""
    assert all(f"\n    {key}: " in documented for key in inspect.signature(function).parameters)
