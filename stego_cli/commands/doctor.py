"""`stego doctor`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stego_cli.doctor.findings import Finding

HELP = """Examine the installation: what is installed, what it may use, and whether it works.

\b
Examples:
  stego doctor
  stego doctor --no-self-test          look only, run nothing
  stego doctor --json > doctor.json    one JSON object, to send with a report

It reports versions, GPUs, cores and memory, the cache, disk space and CRF engines. Then a timed self-test of some
seconds runs decoding, a model, the CRF and a mask, and says which of them limits a run on this machine. Each line is
ok, a warning (something is slower or missing) or a problem, with a remedy. The exit code is 1 where there is a problem,
else 0.
"""


def command(
    self_test: Annotated[bool, typer.Option("--self-test/--no-self-test", help="Run the timed self-test.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Examine the installation."""
    from stego_cli.doctor.diagnose import diagnose
    from stego_cli.ui import Ui, write_line

    started = time.perf_counter()
    findings: list[Finding] = []
    for finding in diagnose(self_test, Ui()):
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
        write_line(f"\nstego {'cannot be used as it is' if problems else 'can be used'}: {counted} ({seconds} s).")
    if problems:
        raise typer.Exit(1)


def _show(finding: Finding, group: str | None) -> None:
    """Write a finding, below a title where it begins another group than the one before."""
    from stego_cli.ui import write_line

    if finding.group != group:
        write_line(f"{finding.group}:" if group is None else f"\n{finding.group}:")
    write_line(f"  {finding.status:8} {finding.name}: {finding.text}")
    if finding.remedy:
        write_line(f"{'':11}{finding.remedy}")
