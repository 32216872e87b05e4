"""`stego doctor`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stego_cli.doctor.findings import Finding
    from stego_cli.ui import Ui

HELP = """Say what is installed, what it may use, and whether it works.

Versions, GPUs, cores and memory, the cache, disk space, CRF engines; then a timed self-test of some seconds: decoding,
a model, the CRF, a mask. Each line is ok, a warning (something is slower or missing) or a problem, with what to do
about it. The exit code is 1 where there is a problem, else 0.

\b
Examples:
  stego doctor
  stego doctor --no-self-test          look only, run nothing
  stego doctor --json > doctor.json    one JSON object, to send with a report
"""


def command(
    self_test: Annotated[bool, typer.Option("--self-test/--no-self-test", help="Run the timed self-test.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Examine the installation."""
    from stego_cli.ui import Ui, write_line

    started = time.perf_counter()
    findings: list[Finding] = []
    for finding in _findings(self_test, Ui()):
        if not as_json:
            _show(finding, None if not findings else findings[-1].group)
        findings.append(finding)
    problems, warnings = (sum(each.status == kind for each in findings) for kind in ("problem", "warning"))
    seconds = round(time.perf_counter() - started, 1)
    if as_json:
        listed = [asdict(finding) for finding in findings]
        write_line(json.dumps({"usable": not problems, "seconds": seconds, "findings": listed}, indent=2))
    else:
        counted = f"{problems} problem{'s' * (problems != 1)}, {warnings} warning{'s' * (warnings != 1)}"
        write_line(f"\n{'It cannot be used as it is' if problems else 'It can be used'}: {counted} ({seconds} s).")
    if problems:
        raise typer.Exit(1)


def _findings(self_test: bool, ui: Ui) -> Iterator[Finding]:
    from stego_cli.doctor.findings import Finding

    try:
        from stego_cli.doctor.examine import examine

        yield from examine()
        if self_test:
            from stego_cli.doctor.self_test import tests

            with ui.stage("Self-test", len(tests()), unit="parts") as stage:
                for test in tests():
                    yield test()
                    stage.advance()
    except ImportError as error:  # numpy, Pillow: without them there is nothing left to examine
        text = f"cannot be loaded: {str(error).splitlines()[0]}"
        remedy = "`pip install --force-reinstall --no-cache-dir stego-cli`"
        yield Finding("versions", error.name or "a package", text, "problem", remedy)


def _show(finding: Finding, group: str | None) -> None:
    from stego_cli.ui import write_line

    if finding.group != group:
        write_line(f"{finding.group}:" if group is None else f"\n{finding.group}:")
    write_line(f"  {finding.status:8} {finding.name}: {finding.text}")
    if finding.remedy:
        write_line(f"{'':11}{finding.remedy}")
