import torch

from stego_cli.training.monitor.histograms import BINS, bin_centres, bin_edges, histogram


def test_histograms_count_every_value_in_its_bin() -> None:
    counts = histogram(torch.tensor([-1.0, -0.999, 0.01, 1.0, 1.0001]))
    assert counts.sum() == 5
    assert [int(counts[index]) for index in (0, BINS // 2, BINS - 1)] == [2, 1, 2]
    many = histogram(torch.linspace(-1, 1, 1_000_000))
    assert 40_000 < many.sum() <= 50_001
    assert many.min() > 0.9 * many.max()


def test_bins_divide_the_range_evenly() -> None:
    assert (bin_edges()[0], bin_edges()[-1], len(bin_edges())) == (-1, 1, BINS + 1)
    values = torch.from_numpy(bin_centres())
    assert histogram(values).tolist() == [1] * BINS
