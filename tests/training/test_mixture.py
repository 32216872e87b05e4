import pytest
import torch
import torch.nn.functional as F

from stego_cli.model.probes import ClusterProbe
from stego_cli.training.mixture import joined_classes, moved_to


def test_a_large_class_is_not_cut_where_finer_clusters_are_joined() -> None:
    """3,000 points along an arc, and twice 150 close to each other: k-means halves the arc and joins the small ones."""
    generator = torch.Generator().manual_seed(0)
    places, spreads, sizes = (0.0, 2.0, 3.3), (0.4, 0.05, 0.05), (3000, 150, 150)
    groups = zip(places, spreads, sizes, strict=True)
    angles = torch.cat([place + spread * torch.randn(size, generator=generator) for place, spread, size in groups])
    points = torch.stack([angles.cos(), angles.sin()], 1)
    truth = torch.repeat_interleave(torch.arange(3), torch.tensor(sizes))

    def sizes_of_the_small(finer: int) -> list[list[int]]:
        probe = joined_classes(points, points, 3, finer, 5, 5.0, torch.Generator().manual_seed(0))
        assert torch.allclose(probe.centroids.norm(dim=1), torch.ones(3), atol=1e-5)
        found = probe.nearest(points)
        return [torch.bincount(found[truth == small], minlength=3).tolist() for small in (1, 2)]

    assert sizes_of_the_small(1) == [[0, 0, 150], [0, 0, 150]]
    assert sizes_of_the_small(4) == [[0, 150, 0], [0, 0, 150]]


def _field(ground: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return codes, features and classes of 4,000 patches: a ground in six pieces that only codes tell apart, and three
    other things, of which the codes of two are alike."""
    generator = torch.Generator().manual_seed(0)
    sizes = [round(4000 * ground / 6)] * 6 + [round(4000 * (1 - ground) / 3)] * 3
    truth = torch.repeat_interleave(torch.tensor([0] * 6 + [1, 2, 3]), torch.tensor(sizes))
    of_code = torch.eye(9)
    of_code[8] = 0.8 * of_code[7] + 0.6 * of_code[8]
    of_feature = torch.eye(9)[[0] * 6 + [1, 2, 3]]
    piece = torch.repeat_interleave(torch.arange(9), torch.tensor(sizes))
    noise = 0.05 * torch.randn(2, len(piece), 9, generator=generator)
    return of_code[piece] + noise[0], of_feature[piece] + noise[1], truth


def test_a_ground_that_the_codes_take_apart_is_one_class_as_in_the_features() -> None:
    codes, features, truth = _field(ground=0.85)
    probe = joined_classes(codes, features, 4, 4, 5, 5.0, torch.Generator().manual_seed(0))
    found = probe.nearest(codes)
    assert (found[truth == 0] == 0).float().mean() > 0.98
    assert sorted(found[truth == other].mode().values.item() for other in (1, 2, 3)) == [1, 2, 3]
    alone = joined_classes(codes, codes, 4, 4, 5, 5.0, torch.Generator().manual_seed(0)).nearest(codes)
    assert (alone[truth == 0] == 0).float().mean() < 0.8  # the codes say nothing of the kind


def test_features_do_not_decide_where_nothing_covers_more_than_half() -> None:
    codes, features, truth = _field(ground=0.45)
    other = F.one_hot(truth.clamp(max=2)).float()  # joins two things, and nothing to more than half
    first, second = (joined_classes(codes, each, 4, 4, 3, 5.0, torch.Generator()) for each in (features, other))
    assert torch.equal(first.centroids, second.centroids)


def test_joined_clusters_of_few_distinct_points_stay_finite() -> None:
    probe = joined_classes(torch.ones(10, 3), torch.ones(10, 4), 4, 3, 2, 5.0, torch.Generator().manual_seed(0))
    assert probe.centroids.shape == (4, 3)
    assert torch.isfinite(probe.centroids).all()
    assert torch.isfinite(probe.log_prior).all()


def test_what_lies_between_two_classes_goes_to_the_more_frequent_one() -> None:
    """Nine tenths of the points around one direction: at the middle of the two the prior alone decides."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.tensor([[0.0, 1.0, 0.2], [1.0, 0.0, 0.2]])
    points = directions.repeat_interleave(torch.tensor([300, 2700]), dim=0)
    points += 0.1 * torch.randn(3000, 3, generator=generator)
    probe = joined_classes(points, points, 2, 4, 3, 5.0, generator)
    assert probe.log_prior is not None
    assert probe.log_prior.exp().tolist() == pytest.approx([0.9, 0.1], abs=0.01)
    assert probe.shares(points).tolist() == pytest.approx([0.9, 0.1], abs=0.01)
    middle = probe.centroids.mean(0)[None, :, None, None]
    assert probe(middle).flatten().exp().tolist() == pytest.approx([0.9, 0.1], abs=0.01)


def test_a_split_divides_the_prior_of_its_class_and_leaves_the_others() -> None:
    points = torch.randn(500, 4, generator=torch.Generator().manual_seed(2))
    probe = joined_classes(points, points, 3, 2, 2, 5.0, torch.Generator().manual_seed(0))
    pieces = torch.nn.functional.normalize(torch.eye(4)[:2] + 0.1, dim=1)
    after = probe.split(1, pieces, torch.tensor([0.75, 0.25]))
    assert probe.log_prior is not None
    assert after.log_prior is not None
    priors = probe.log_prior.exp()
    wanted = [priors[0], 0.75 * priors[1], priors[2], 0.25 * priors[1]]
    assert torch.allclose(after.log_prior.exp(), torch.stack(wanted))
    code = points[:50, :, None, None]
    was, now = probe(code), after(code)
    assert torch.allclose(now[:, 2] - now[:, 0], was[:, 2] - was[:, 0], atol=1e-5)


def test_the_same_generator_state_gives_the_same_classes() -> None:
    points = torch.randn(800, 6, generator=torch.Generator().manual_seed(1))
    first, second = (joined_classes(points, points, 5, 3, 3, 5.0, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.centroids, second.centroids)
    assert first.log_prior is not None
    assert torch.equal(first.log_prior, second.log_prior)


def test_classes_move_to_other_codes_of_the_same_patches() -> None:
    torch.manual_seed(0)
    codes = F.normalize(torch.cat([torch.tensor([3.0, 0.3, 0.3]) + torch.rand(40, 3), torch.rand(60, 3) - 1]), dim=1)
    turned = codes.roll(1, dims=1) + 0.01 * torch.randn(100, 3)
    probe = joined_classes(codes, codes, 2, 1, 2, 5.0, torch.Generator().manual_seed(0))
    moved = moved_to(ClusterProbe(probe.centroids.flip(0), 5.0, torch.tensor([0.4, 0.6]).log()), codes, turned)
    torch.testing.assert_close(moved.centroids, probe.centroids.roll(1, dims=1), atol=0.01, rtol=0)
    assert moved.log_prior is not None
    torch.testing.assert_close(moved.log_prior, torch.tensor([0.6, 0.4]).log())
    assert moved.shares(turned).tolist() == [0.6, 0.4]
