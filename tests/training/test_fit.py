"""Steps of both schemes on small made-up features; and two processes against one."""

import sys

import pytest
import torch

from stego_cli.model.head import Head
from stego_cli.settings import TrainSettings
from stego_cli.training.calibration import whitening
from stego_cli.training.features import FeatureCache
from stego_cli.training.fit import Fit
from stego_cli.training.neighbours import nearest_neighbours
from stego_cli.training.pairs import INTER, INTRA, NEGATIVE, Batch, derangement, paper_pairs, sample_maps, short_pairs
from stego_cli.training.ranks import ALONE, Ranks, join, leave
from tests.support.two_processes import run_twice

CPU = torch.device("cpu")


def caching(photographs: int = 5, side: int = 4, width: int = 8) -> FeatureCache:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(photographs * side * side, width, generator=generator)
    return FeatureCache(
        tokens=tokens.half(),
        starts=torch.arange(photographs) * side * side,
        grids=torch.full((photographs, 2), side),
        pooled=tokens.reshape(photographs, -1, width).mean(1),
        paths=[None] * photographs,
        failed=[],
    )


def fitted(scheme: str, steps: int = 3, ranks: Ranks = ALONE, **settings: object) -> Fit:
    cache = caching()
    space = whitening(cache.tokens.float(), 4) if scheme == "auto" else None
    own = {"shifts": (0.3, 0.1, 0.1) if scheme == "paper" else None, "batch": 4, "points": 3}
    wanted = TrainSettings(**{"scheme": scheme, "classes": 3, "code": 6, "steps": steps, **own, **settings})
    return Fit(cache, nearest_neighbours(cache.pooled, 2), space, wanted, CPU, ranks)


def test_sampling_maps_is_sampling_the_cache() -> None:
    cache, views = caching(), torch.tensor([3, 0])
    points = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert torch.allclose(sample_maps(cache.maps(views), points), cache.sample(views, points), atol=1e-5)


def test_both_schemes_pair_own_with_own_near_and_five_others() -> None:
    cache, own = caching(), torch.tensor([0, 1, 2])
    for draw in (short_pairs, paper_pairs):
        batch = Batch(cache, own, torch.tensor([3, 4, 3]), slice(None), Head(8, 6), None, CPU)
        settings = TrainSettings(points=3, dropout=0.0)
        pairs = list(draw(batch, settings, torch.Generator().manual_seed(0)))
        assert [pair.term for pair in pairs] == [INTRA, INTER, *[NEGATIVE] * 5]
        assert all(pair.features[0].shape == (3, 9, 8) and pair.codes[1].shape == (3, 9, 6) for pair in pairs)
        for pair in pairs:  # a code is the head's output at the place of its features (no dropout here)
            if draw is short_pairs:
                assert torch.allclose(pair.codes[1], batch.head(pair.features[1]), atol=1e-5)


def test_a_derangement_leaves_nothing_in_its_place() -> None:
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 10):
        for _ in range(20):
            assert not (derangement(count, generator) == torch.arange(count)).any()
    assert derangement(1, generator).tolist() == [0]


def test_a_step_needs_only_the_seed_and_its_number() -> None:
    first, second = fitted("auto"), fitted("auto")
    whole = list(first.run(lambda: False))
    assert [metrics.step for metrics in whole] == [1, 2, 3]
    assert list(second.run(lambda: second.step == 2)) == whole[:2]
    assert list(second.run(lambda: False)) == whole[2:]
    assert all(torch.equal(a, b) for a, b in zip(first.head.parameters(), second.head.parameters(), strict=True))


def test_the_paper_scheme_trains_centroids_with_fixed_b_at_a_constant_rate() -> None:
    fit = fitted("paper", steps=40)
    before = fit.centroids.detach().clone()
    metrics = list(fit.run(lambda: False))
    assert all(torch.allclose(torch.tensor(each.b), torch.tensor([0.3, 0.1, 0.1])) for each in metrics)
    assert [group["lr"] for group in fit.optimiser.param_groups] == [5e-4, 5e-3]
    assert metrics[-1].probe < metrics[0].probe - 0.05  # the codes come to lie nearer to their centroids
    assert not torch.equal(before, fit.centroids)


def test_auto_has_no_centroids_and_its_rate_decays_to_nothing() -> None:
    fit = fitted("auto", steps=40)
    metrics = list(fit.run(lambda: False))
    assert fit.centroids is None
    assert metrics[-1].probe is None
    assert fit.optimiser.param_groups[0]["lr"] < 5e-6


def test_without_centring_b_is_taken_from_the_plain_correspondences() -> None:
    centred, plain = (next(fitted("auto", centring=each).run(lambda: False)) for each in (True, False))
    assert centred.b != plain.b


# an odd batch, so that the two shares differ; and one with more pairs than b is estimated from
CASES = [("auto", {"batch": 5}), ("paper", {"batch": 5}), ("auto", {"batch": 4, "points": 9})]


def stepped(scheme: str, settings: dict[str, object], ranks: Ranks) -> tuple[Fit, dict[str, object]]:
    fit = fitted(scheme, ranks=ranks, **settings)
    metrics = next(fit.run(lambda: False))
    gradients = [parameter.grad for parameter in fit.head.parameters()]
    if fit.centroids is not None:
        gradients.append(fit.centroids.grad)
    return fit, {"gradients": gradients, "metrics": torch.tensor([metrics.loss, *metrics.b, *metrics.correspondences])}


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, object]]]:
    """What each of two processes gets in each case."""
    folder = tmp_path_factory.mktemp("ranks")
    run_twice(__file__, folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("case", range(len(CASES)))
@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one_with_the_joined_batch(
    case: int, of_two: list[list[dict[str, object]]]
) -> None:
    scheme, settings = CASES[case]
    _, alone = stepped(scheme, settings, ALONE)
    for shared in (part[case] for part in of_two):
        assert torch.allclose(shared["metrics"], alone["metrics"], atol=1e-6)
        for ours, theirs in zip(shared["gradients"], alone["gradients"], strict=True):
            assert torch.allclose(ours, theirs, atol=1e-7)
    assert max(float(each.abs().max()) for each in alone["gradients"]) > 1e-4


def test_every_row_is_one_processes() -> None:
    for total in (0, 1, 5, 16):
        parts = [list(range(total))[Ranks(rank, 3).rows(total)] for rank in range(3)]
        assert sum(parts, []) == list(range(total))  # noqa: RUF017  (three short lists)


if __name__ == "__main__":  # one of the two processes
    ranks = join(CPU)
    results = [stepped(scheme, settings, ranks)[1] for scheme, settings in CASES]
    assert ranks.gather(ranks.rank) == [0, 1]
    assert ranks.any(ranks.rank == 1)
    torch.save(results, f"{sys.argv[1]}/{ranks.rank}.pt")
    leave()
