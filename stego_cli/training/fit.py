"""The loop that trains the head on cached features (paper, equations 4 and 5).

Three terms a step: photographs with themselves (intra), with one of their nearest neighbours (inter), and with others
(negative). The original resamples features for each of the five negative pairings; since its points are random and
independent, the second set of points is here sampled once and permuted, which has the same distribution and leaves
three lookups and three passes through the head where there were seven.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stego_cli.model.head import Head, channel_dropout
from stego_cli.settings import TrainSettings
from stego_cli.training.calibration import Whitening, calibrated_b
from stego_cli.training.correspondence import centre, correspondence, correspondence_loss
from stego_cli.training.features import FeatureCache

TERMS = ("negative", "inter", "intra")  # the order of weights and quantiles
COLLAPSED_COSINE = 0.9  # mean S of unrelated photographs beyond which all codes point one way
COLLAPSED_RANK = 1.5  # effective number of dimensions below which classes cannot be told apart


@dataclass(frozen=True)
class StepFigures:
    """What one step measured; plain numbers, in the order of TERMS where there are three.

    Attributes:
        step: 1 for the first.
        loss: the weighted sum.
        terms: each term's mean loss, unweighted.
        correspondences: mean S of each term's pairs.
        b: each term's shift.
        rank: effective dimensions of the batch's codes, (sum of eigenvalues)^2 / sum of their squares.
    """

    step: int
    loss: float
    terms: tuple[float, ...]
    correspondences: tuple[float, ...]
    b: tuple[float, ...]
    rank: float

    @property
    def collapsed(self) -> bool:
        """Whether the codes no longer distinguish photographs that have nothing in common."""
        return self.correspondences[0] > COLLAPSED_COSINE or self.rank < COLLAPSED_RANK


class Fit:
    """Training in progress: everything that a step changes.

    Attributes:
        head: being trained, on `device`.
        step: steps done.
        optimiser: Adam over the head.
        generator: source of all randomness, on the CPU.
        on_pairs: told each pairing's step, term, F (centred) and S (N, P, Q) without gradient; must not change them.
    """

    def __init__(
        self, cache: FeatureCache, neighbours: Tensor, whitening: Whitening | None, settings: TrainSettings,
        device: torch.device, generator: torch.Generator,
    ) -> None:  # fmt: skip
        self._cache, self._neighbours, self._settings, self._device = cache, neighbours, settings, device
        self._whitening = whitening and Whitening(whitening.mean.to(device), whitening.projection.to(device))
        self.generator = generator
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)  # layers draw their first weights from the global generator
            self.head = Head(cache.tokens.shape[1], settings.code).to(device)
        self.optimiser = torch.optim.Adam(self.head.parameters(), lr=settings.lr)
        self.step = 0
        self.on_pairs: Callable[[int, int, Tensor, Tensor], None] | None = None

    def run(self, should_stop: Callable[[], bool]) -> Iterator[StepFigures]:
        """Do the remaining steps, yielding each one's figures; end early after the step at which `should_stop`."""
        while self.step < self._settings.steps and not should_stop():
            yield self._one_step()

    def _one_step(self) -> StepFigures:
        settings = self._settings
        # Cosine decay: late steps settle instead of wandering, which matters because no label says when to stop.
        rate = settings.lr * 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        points = self._draw()
        features = {name: self._for_loss(value) for name, value in points.items()}
        codes = {name: self.head(value, self._masks(len(value), value.shape[2])) for name, value in points.items()}

        losses: list[list[Tensor]] = [[], [], []]
        cosines: list[list[Tensor]] = [[], [], []]
        shifts: list[list[Tensor]] = [[], [], []]
        for term, first, second, order in self._pairs(len(points["own"])):
            with torch.no_grad():
                F = centre(correspondence(features[first], features[second][order]))
                b = calibrated_b(F, settings.quantiles[term], self.generator)
            S = correspondence(codes[first], codes[second][order])
            if self.on_pairs is not None:
                self.on_pairs(self.step + 1, term, F, S.detach())
            losses[term].append(correspondence_loss(F, S, b).mean())
            cosines[term].append(S.detach().mean())
            shifts[term].append(b)
        terms = [torch.stack(values).mean() for values in losses]
        loss = sum((weight * term for weight, term in zip(settings.weights, terms, strict=True)), torch.zeros(()))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.step += 1
        return StepFigures(
            step=self.step,
            loss=float(loss.detach()),
            terms=tuple(float(term.detach()) for term in terms),
            correspondences=tuple(float(torch.stack(values).mean()) for values in cosines),
            b=tuple(float(torch.stack(values).mean()) for values in shifts),
            rank=_effective_rank(codes["own"].detach()),
        )

    def _draw(self) -> dict[str, Tensor]:
        """Sample a batch's features at random points, (B, P, C) each.

        "own": the photographs; "near": a neighbour of each, at other points; "other": the photographs, at the
        neighbours' points, to be permuted.
        """
        settings, total = self._settings, len(self._cache)
        chosen = torch.randperm(total, generator=self.generator)[: settings.batch]
        rank = torch.randint(self._neighbours.shape[1], (len(chosen),), generator=self.generator)
        near = self._neighbours[chosen, rank]
        shape = (2, len(chosen), settings.points**2, 2)
        first, second = torch.rand(shape, generator=self.generator) * 2 - 1
        places = {"own": (chosen, first), "near": (near, second), "other": (chosen, second)}
        return {name: self._cache.sample(*place).to(self._device) for name, place in places.items()}

    def _pairs(self, count: int) -> Iterator[tuple[int, str, str, Tensor]]:
        """Yield (term, first, second, order of second) for every pairing of a step."""
        same = torch.arange(count)
        yield TERMS.index("intra"), "own", "own", same
        yield TERMS.index("inter"), "own", "near", same
        for _ in range(self._settings.permutations):
            yield TERMS.index("negative"), "own", "other", derangement(count, self.generator)

    def _for_loss(self, features: Tensor) -> Tensor:
        """Return the features that F is computed on: whitened, or as they are with the original's dropout."""
        if self._whitening is not None:
            return self._whitening(features)
        return features * channel_dropout(len(features), features.shape[2], self._settings.dropout, self.generator).to(
            features
        )

    def _masks(self, count: int, channels: int) -> tuple[Tensor, Tensor]:
        first, second = (channel_dropout(count, channels, self._settings.dropout, self.generator) for _ in range(2))
        return first.to(self._device), second.to(self._device)


def derangement(count: int, generator: torch.Generator) -> Tensor:
    """Return an order of `count` things in which none is at its own place: int64 (count,).

    A random permutation in which what stayed is replaced by its successor (as in the original), so that a thing may
    occur twice. A lone photograph has no other: it is its own negative.
    """
    order = torch.randperm(count, generator=generator)
    fixed = order == torch.arange(count)
    return torch.where(fixed, (order + 1) % count, order)


def _effective_rank(codes: Tensor) -> float:
    flat = codes.flatten(0, 1)
    gram = (flat.T @ flat).double()
    return float(gram.trace() ** 2 / gram.square().sum().clamp(min=1e-30))
