"""What tasks report about the photographs they were given, and decide about all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stego_cli.images.discover import Found
from stego_cli.images.stretch import decide
from stego_cli.progress import Progress
from stego_cli.reading import Reading
from stego_cli.sources.table import open_sampled
from stego_cli.text import shown


def note_passed_over(found: Found, progress: Progress, each: bool = False) -> None:
    """Report what is no photograph: a number for each reason, and an example or `each` path; all go into an event."""
    for reason, passed in found.passed.items():
        if each:
            progress.note(f"Passed over, {reason}: {passed.count}:")
            for path in passed.paths:
                progress.note(f"  {shown(path)}")
            if passed.count > len(passed.paths):
                progress.note(f"  ... and {passed.count - len(passed.paths)} more.")
        else:
            example = f"{shown(passed.paths[0])}{' ...' if passed.count > 1 else ''}"
            progress.note(f"Passed over, {reason}: {passed.count} ({example}).")
        progress.event("passed_over", reason=reason.name.lower(), count=passed.count, paths=[*map(shown, passed.paths)])


def decide_reading(paths: Sequence[Path], asked: Reading, progress: Progress) -> Reading:
    """Return how all pictures of a run are read: one range for each kind of numbers, from a sample of the files."""
    decision = decide(paths, asked, open_sampled)
    for note in decision.notes:
        progress.note(note)
    return decision.reading
