"""The measurements of one training step."""

from __future__ import annotations

from dataclasses import dataclass

from stego_cli.model.provenance import MetricsLine
from stego_cli.training.pairs import TERMS

COLLAPSED_COSINE = 0.9  # mean S of unrelated photographs above which all codes point in one direction
COLLAPSED_RANK = 1.5  # effective dimensions below which classes cannot be told apart


@dataclass(frozen=True)
class StepMetrics:
    """Plain numbers; a tuple has a value for each of TERMS.

    Attributes:
        step: 1 for the first.
        loss: the weighted sum of the terms.
        terms: each term's mean loss, unweighted.
        correspondences: mean S of each term's pairs, -1 to 1.
        b: each term's shift.
        rank: effective dimensions of the batch's codes, (sum of eigenvalues)^2 / (sum of their squares).
        probe: loss of the cluster probe, if it is trained together with the head.
    """

    step: int
    loss: float
    terms: tuple[float, ...]
    correspondences: tuple[float, ...]
    b: tuple[float, ...]
    rank: float
    probe: float | None = None

    @property
    def collapsed(self) -> bool:
        """Whether the codes no longer distinguish unrelated photographs."""
        return self.correspondences[0] > COLLAPSED_COSINE or self.rank < COLLAPSED_RANK

    def as_line(self) -> MetricsLine:
        """Return the step's line of metrics.jsonl."""

        def by_term(values: tuple[float, ...]) -> dict[str, float]:
            return {term: round(value, 6) for term, value in zip(TERMS, values, strict=True)}

        line: MetricsLine = {
            "step": self.step,
            "loss": round(self.loss, 6),
            "terms": by_term(self.terms),
            "correspondences": by_term(self.correspondences),
            "b": by_term(self.b),
            "rank": round(self.rank, 3),
        }
        if self.probe is not None:
            line["probe"] = round(self.probe, 6)
        return line
