"""The account of a run over many photographs: what was done, and how long it took."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from stego_cli.inference.outputs import Outcome
from stego_cli.text import shown

STAGES = ("decode", "infer", "refine", "encode", "write")


@dataclass
class Summary:
    """What a run did.

    Attributes:
        photographs: found.
        done: masks written by this run; `kept`: masks that an earlier run had finished.
        left: photographs that this run was not asked to look at.
        failed: path and reason of each photograph or folder that has no mask.
        seconds: time by stage, summed over threads and processes; "total" is the wall clock.
        pixels: pixels by class over all masks of these photographs, earlier runs' included.
    """

    photographs: int
    done: int = 0
    kept: int = 0
    left: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    pixels: Counter[int] = field(default_factory=Counter)

    @property
    def limit(self) -> str | None:
        """The stage that took the most time, which a faster run would have to shorten first."""
        stages = [stage for stage in STAGES if self.seconds.get(stage)]
        return max(stages, key=lambda stage: self.seconds[stage]) if stages else None

    def add_seconds(self, outcome: Outcome) -> None:
        """Count the time of a photograph, or of a part of a larger file."""
        for name, seconds in outcome.seconds.items():
            self.seconds[name] += seconds

    def add(self, outcome: Outcome) -> None:
        """Count one photograph."""
        entry = outcome.entry
        self.add_seconds(outcome)
        if entry.status == "done":
            self.done += 1
            self.pixels.update(entry.pixels or {})
        else:
            self.failed.append((shown(entry.path), entry.error or "failed"))
