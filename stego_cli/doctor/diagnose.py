"""All of `stego doctor`: look at the installation, then run the self-test."""

from __future__ import annotations

from collections.abc import Iterator

from stego_cli.doctor.findings import Finding
from stego_cli.progress import Progress


def diagnose(self_test: bool, progress: Progress) -> Iterator[Finding]:
    """Yield all findings, in the order in which they are shown.

    Args:
        self_test: whether to run the self-test as well, which takes some seconds.
        progress: counts the parts of the self-test.
    """
    try:
        from stego_cli.doctor.examine import examine

        yield from examine()
        if self_test:
            from stego_cli.doctor.limits import limit
            from stego_cli.doctor.self_test import PARTS, run_part

            found: list[Finding] = []
            with progress.stage("Self-test", len(PARTS), unit="parts") as stage:
                for name in PARTS:
                    found.append(run_part(name))
                    yield found[-1]
                    stage.advance()
            limiting = limit(found)
            if limiting is not None:
                yield limiting
    except ImportError as error:  # of a package that the examination itself needs
        text = f"cannot be loaded: {str(error).splitlines()[0]}"
        remedy = "`pip install --force-reinstall --no-cache-dir stego-cli`"
        yield Finding("versions", error.name or "a package", text, "problem", remedy)
