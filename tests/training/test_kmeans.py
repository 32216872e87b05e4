import torch
import torch.nn.functional as F

from stego_cli.model.probes import ClusterProbe
from stego_cli.training.kmeans import cosine_kmeans


def blobs(sizes: list[int]) -> torch.Tensor:
    """Points around orthogonal directions, of very different lengths."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.eye(8)[: len(sizes)]
    points = [
        (d + 0.05 * torch.randn(n, 8, generator=generator)) * torch.rand(n, 1, generator=generator).add(0.1) * 9
        for d, n in zip(directions, sizes, strict=True)
    ]
    return torch.cat(points)


def test_clear_clusters_are_found_largest_first() -> None:
    points = blobs([50, 400, 150])
    centroids = cosine_kmeans(points, 3, 5, torch.Generator().manual_seed(0))
    assert torch.allclose(centroids.norm(dim=1), torch.ones(3), atol=1e-5)
    assert centroids.argmax(1).tolist() == [1, 2, 0]
    assert torch.allclose(ClusterProbe(centroids).shares(points), torch.tensor([400, 150, 50]).double() / 600)


def test_more_restarts_are_never_worse() -> None:
    points = torch.randn(600, 5, generator=torch.Generator().manual_seed(3))

    def score(restarts: int) -> float:
        centroids = cosine_kmeans(points, 12, restarts, torch.Generator().manual_seed(0))
        return float((F.normalize(points, dim=1) @ centroids.T).amax(1).mean())

    assert score(10) >= score(1)


def test_fewer_distinct_points_than_clusters_stay_finite() -> None:
    centroids = cosine_kmeans(torch.ones(10, 3), 4, 2, torch.Generator().manual_seed(0))
    assert centroids.shape == (4, 3)
    assert torch.isfinite(centroids).all()


def test_the_same_generator_state_gives_the_same_bytes() -> None:
    points = torch.randn(2000, 6, generator=torch.Generator().manual_seed(1))
    first, second = (cosine_kmeans(points, 7, 3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
