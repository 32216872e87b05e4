"""What all subcommands share: help with options in panels, and errors that name flags."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer import BadParameter
from typer.core import TyperCommand

from stego_cli.errors import OutputError, SettingName, StegoError, UsageError, in_python
from stego_cli.trees.address import was_address

_BAD_ARGUMENTS: Any = BadParameter.__base__  # the base of all errors of the parser, wherever it comes from
_ARGUMENTS, _OPTIONS = "Arguments", "Options"  # the first panel, and the last, of options that name none


class StegoCommand(TyperCommand):
    """A subcommand. An error ends the process with its exit code, and is shown with the flags of this command."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  (typer's own context class differs between its versions)
        """Run the command; show an error of it and end the process."""
        if ctx.params.get("as_json") is True:
            from stego_cli.stop import tell_in_events

            tell_in_events()
        try:
            _refuse_addresses(ctx.params)
            result = super().invoke(ctx)
        except StegoError as error:
            from stego_cli.ui import show_error

            as_json = ctx.params.get("as_json") is True or str(ctx.params.get("json_file")) == "-"
            show_error(error, flag_names(self), as_json)
            raise SystemExit(error.exit_code) from error
        ui = sys.modules.get("stego_cli.ui")
        if ui is not None and ui.lost_messages():
            raise SystemExit(OutputError.exit_code)
        return result

    def make_context(self, info_name: Any, args: Any, *given: Any, **extra: Any) -> Any:  # noqa: ANN401  (as above)
        """Read the arguments; an error in them is also an event where events were asked for."""
        wanted = "--json" in args and any(param.name == "as_json" for param in self.params)
        try:
            return super().make_context(info_name, args, *given, **extra)
        except _BAD_ARGUMENTS as error:
            if wanted:
                from stego_cli.ui import Ui

                with contextlib.suppress(OutputError):  # the message below is another
                    Ui(as_json=True).event(
                        "error", message=error.format_message(), remedy=None, exit_code=error.exit_code
                    )
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401  (as above)
        """Return the words after the command's name in the usage line."""
        arguments = [param for param in self.get_params(ctx) if param.param_type_name == "argument"]
        names = [_metavar(param) if param.required else f"[{_metavar(param)}]" for param in arguments]
        return [
            "[OPTIONS]",
            *(f"{name}{'' if param.nargs == 1 else '...'}" for name, param in zip(names, arguments, strict=True)),
        ]

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  (as above)
        """Write arguments, then options by panel, in the order in which the panels first appear."""
        panels: dict[str, list[tuple[str, str]]] = {_ARGUMENTS: []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                panels[_ARGUMENTS].append((_metavar(param), record[1]))
            else:
                panels.setdefault(getattr(param, "rich_help_panel", None) or _OPTIONS, []).append(record)
        panels[_OPTIONS] = panels.pop(_OPTIONS)  # to the end; --help is always there
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)


def flag_names(command: TyperCommand) -> SettingName:
    """Return the function that writes a setting as a flag of `command`; what is none of its flags stays a keyword."""
    params = {param.name: param for param in command.params}

    def name(field: str, value: object) -> str:
        param = params.get(field)
        if param is None:
            return in_python(field, value)
        if param.param_type_name == "argument":
            return _metavar(param)
        if value is False and param.secondary_opts:
            return str(param.secondary_opts[0])
        flag = next(option for option in param.opts if option.startswith("--"))
        return flag if value is None or value is True else f"{flag} {value}"

    return name


def _refuse_addresses(params: Mapping[str, object]) -> None:
    """Refuse addresses, such as s3://bucket/folder, where paths are wanted: a folder "s3:" would be read, or made."""
    for name, given in params.items():
        for each in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(each, Path) and was_address(each):
                raise UsageError(
                    f"must be a path of this machine, and {each} is an address.",
                    "Only `stego segment` reads photographs, and writes masks, at an address. Copy it here first.",
                    field=name,
                )


def _metavar(param: Any) -> str:  # noqa: ANN401  (as above)
    return str(param.metavar or param.name.upper())
