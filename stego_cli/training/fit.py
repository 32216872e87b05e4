"""The steps that train the head on features (paper, equations 4 and 5).

A step has three terms: photographs with themselves (intra), with one of their nearest neighbours (inter), and with
others (negative). How it draws its pairs depends on the scheme: `pairs.py` has that of "auto" and the original's.

All randomness of a step comes from the seed and the number of the step. So a step can be prepared ahead of time, a
resumed run continues as if it had not been interrupted, and several processes draw the same batch, of which each
computes its own rows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn.functional import normalize

from stego_cli.model.head import Head
from stego_cli.settings import TrainSettings
from stego_cli.training.calibration import Whitening, calibrated_b
from stego_cli.training.correspondence import centre, correspondence, correspondence_loss
from stego_cli.training.features import FeatureCache, Features
from stego_cli.training.pairs import TERMS, Batch, PointPairs, paper_pairs, short_pairs
from stego_cli.training.ranks import ALONE, Ranks
from stego_cli.training.step_metrics import StepMetrics


class Fit:
    """A training in progress: everything that a step changes.

    Args:
        features: of all views.
        neighbours: int64 (N, k), the nearest neighbours of each view.
        whitening: applied to features before F is computed; None: not whitened.
        settings: with `batch` at most the number of views.
        device: where the head and the optimiser are.
        ranks: the processes that share each batch.
        removed: (k, C), directions that the features lose before the head; None: none.

    Attributes:
        settings: as above.
        head: being trained.
        centroids: (K, D), trained together with the head in the scheme "paper", not of unit length; None where k-means
            finds them.
        step: number of steps done.
        optimiser: Adam over the head and the centroids.
        on_pairs: called for each pairing with step, term, F and S (N, P, Q); must not change them.
    """

    def __init__(
        self,
        features: Features,
        neighbours: Tensor,
        whitening: Whitening | None,
        settings: TrainSettings,
        device: torch.device,
        ranks: Ranks = ALONE,
        removed: Tensor | None = None,
    ) -> None:
        self.settings = settings
        self._features, self._neighbours, self._device = features, neighbours, device
        self._whitening = whitening and Whitening(whitening.mean.to(device), whitening.projection.to(device))
        self._ranks = ranks
        self.centroids: Tensor | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)  # layers draw their first weights from the global generator
            self.head = Head(features.width, settings.code, removed=removed).to(device)
            if settings.scheme == "paper":
                self.centroids = torch.randn(settings.classes or 2, settings.code).to(device).requires_grad_()
        groups = [{"params": list(self.head.parameters()), "lr": settings.lr}]
        if self.centroids is not None:
            groups.append({"params": [self.centroids], "lr": settings.probe_lr})
        self.optimiser = torch.optim.Adam(groups)
        self.step = 0
        self.on_pairs: Callable[[int, int, Tensor, Tensor], None] | None = None

    def run(self, should_stop: Callable[[], bool]) -> Iterator[StepMetrics]:
        """Do the remaining steps and yield the metrics of each; end before the first at which `should_stop` is true."""
        steps = range(self.step, self.settings.steps)
        for cache, rows in self._features.follow(self.views, steps):
            if self._ranks.any(should_stop()):
                return
            yield self._one_step(cache, rows)

    def views(self, step: int) -> Tensor:
        """Return the views that a step needs, int64 (2 * B,): the batch, then a neighbour of each."""
        return self._choose(step)[1]

    def _choose(self, step: int) -> tuple[torch.Generator, Tensor]:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.settings.seed} {step}".encode()))
        chosen = torch.randperm(len(self._features), generator=generator)[: self.settings.batch]
        rank = torch.randint(self._neighbours.shape[1], (len(chosen),), generator=generator)
        return generator, torch.cat([chosen, self._neighbours[chosen, rank]])

    def _one_step(self, cache: FeatureCache, rows: Tensor) -> StepMetrics:
        settings = self.settings
        if settings.scheme == "auto":
            # Cosine decay: the last steps change little, which matters because no label can show when to stop.
            rate = settings.lr * 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
            self.optimiser.param_groups[0]["lr"] = rate
        generator, _ = self._choose(self.step)
        own, near = rows.chunk(2)
        batch = Batch(cache, own, near, self._ranks.rows(len(own)), self.head, self._whitening, self._device)
        draw = paper_pairs if settings.scheme == "paper" else short_pairs
        sums = torch.zeros(3, len(TERMS))  # of loss, S and b
        weighted: list[Tensor] = []
        codes: Tensor | None = None  # the batch's own
        for pair in draw(batch, settings, generator):
            codes = pair.codes[0] if codes is None else codes
            elements = len(own) * pair.codes[0].shape[1] * pair.codes[1].shape[1]
            loss, S, b = self._term(pair, len(own), generator)
            share = 1 / (settings.permutations if TERMS[pair.term] == "negative" else 1)
            weighted.append(settings.weights[pair.term] * share * loss.sum() / elements)
            measured = [loss.detach().sum() / elements, S.detach().sum() / elements, b / self._ranks.count]
            sums[:, pair.term] += share * torch.stack([each.cpu() for each in measured])
        assert codes is not None
        probe = self._probe_loss(batch, len(own))
        self.optimiser.zero_grad()
        total = torch.stack(weighted).sum()
        (total if probe is None else total + probe).backward()  # type: ignore[no-untyped-call]
        self._sum_gradients()
        self.optimiser.step()
        self.step += 1
        return self._metrics(sums, total.detach(), codes.detach(), probe)

    def _term(self, pair: PointPairs, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the element-wise loss, S and b, of this process's rows out of `count`."""
        settings, term = self.settings, pair.term
        with torch.no_grad():
            F = correspondence(*pair.features)
            if settings.centring:
                F = centre(F) if self._ranks.count == 1 else self._centred(F, count)
            if settings.shifts is not None:
                b = torch.tensor(settings.shifts[term], device=F.device)
            else:
                b = calibrated_b(F, settings.quantiles[term], generator, self._ranks, count)
        S = correspondence(*pair.codes)
        if self.on_pairs is not None:
            self.on_pairs(self.step + 1, term, F, S.detach())
        return correspondence_loss(F, S, b, settings.clamp), S, b

    def _centred(self, F: Tensor, count: int) -> Tensor:
        """Return this process's rows of `centre`(F of the whole batch)."""
        mean = self._ranks.sum(F.sum() / (count * F.shape[1] * F.shape[2]))
        return F - F.mean(2, keepdim=True) + mean

    def _probe_loss(self, batch: Batch, count: int) -> Tensor | None:
        """Return the cluster probe's loss: minus the mean cosine of the batch's codes to their nearest centroid."""
        if self.centroids is None or batch.code_maps is None:
            return None
        codes = normalize(batch.code_maps.detach().flatten(1, 2), dim=2)  # (b, h * w, D)
        cosines = codes @ normalize(self.centroids, dim=1).T
        return -cosines.amax(2).sum() / (count * codes.shape[1])

    def _sum_gradients(self) -> None:
        if self._ranks.count > 1:
            gradients = [p.grad for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
            flat = self._ranks.sum(torch.cat([each.flatten() for each in gradients]))
            for each, part in zip(gradients, torch.split(flat, [each.numel() for each in gradients]), strict=True):
                each.copy_(part.view_as(each))

    def _metrics(self, sums: Tensor, loss: Tensor, codes: Tensor, probe: Tensor | None) -> StepMetrics:
        flat = codes.flatten(0, 1)
        measured = [sums.flatten().to(self._device), loss[None], (flat.T @ flat).flatten()]
        measured += [] if probe is None else [probe.detach()[None]]
        whole = self._ranks.sum(torch.cat(measured)).cpu().double()
        terms, cosines, shifts = whole[: sums.numel()].reshape(sums.shape).tolist()
        gram = whole[sums.numel() + 1 :][: flat.shape[1] ** 2].reshape(flat.shape[1], -1)
        return StepMetrics(
            step=self.step,
            loss=float(whole[sums.numel()]),
            terms=tuple(terms),
            correspondences=tuple(cosines),
            b=tuple(shifts),
            rank=_effective_rank(gram),
            probe=None if probe is None else float(whole[-1]),
        )


def _effective_rank(gram: Tensor) -> float:
    return float(gram.trace() ** 2 / gram.square().sum().clamp(min=1e-30))
