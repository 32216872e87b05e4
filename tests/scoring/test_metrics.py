import math

import numpy as np
import pytest

from stego_cli.scoring.information import adjusted_mutual_information, expected_term
from stego_cli.scoring.matching import assign, matched_confusion
from stego_cli.scoring.metrics import accuracy, class_iou, frequency_weighted_iou, mean_iou

CONFUSION = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
NONE = np.zeros(3, dtype=np.int64)


def test_figures_of_a_small_matrix() -> None:
    ious = class_iou(CONFUSION, NONE)
    assert ious[:2].tolist() == pytest.approx([100 * 6 / 9, 100 * 3 / 6])
    assert math.isnan(ious[2])  # a class that neither side uses is in no mean
    assert mean_iou(ious) == pytest.approx((100 * 6 / 9 + 50) / 2)
    assert accuracy(CONFUSION, NONE) == pytest.approx(75)
    assert frequency_weighted_iou(ious, CONFUSION.sum(axis=1)) == pytest.approx((8 * 100 * 6 / 9 + 4 * 50) / 12)


def test_unmatched_pixels_are_wrong() -> None:
    unmatched = np.array([3, 0, 1])
    assert class_iou(CONFUSION, unmatched).tolist() == pytest.approx([50, 50, 0])
    assert accuracy(CONFUSION, unmatched) == pytest.approx(100 * 9 / 16)


def test_nothing_at_all_is_undefined() -> None:
    empty = np.zeros((3, 3), dtype=np.int64)
    assert math.isnan(accuracy(empty, NONE))
    assert math.isnan(mean_iou(class_iou(empty, NONE)))
    assert math.isnan(frequency_weighted_iou(class_iou(empty, NONE), NONE))
    assert math.isnan(adjusted_mutual_information(empty))


def test_matchings() -> None:
    counts = np.array([[1, 9, 5, 0], [8, 7, 0, 0]])  # 2 classes, 4 clusters, the last without a pixel
    assert assign(counts, "hungarian").tolist() == [1, 0, -1, -1]
    assert assign(counts, "identity").tolist() == [0, 1, -1, -1]
    assert assign(counts, "majority").tolist() == [1, 0, 0, -1]


def test_hungarian_gives_up_the_best_of_one_class_for_the_best_of_all() -> None:
    assert assign(np.array([[10, 9], [9, 0]]), "hungarian").tolist() == [1, 0]


def test_joined_clusters_add_up_and_the_rest_is_unmatched() -> None:
    counts = np.array([[1, 9, 5], [8, 7, 2]])
    confusion, unmatched = matched_confusion(counts, np.array([0, 0, -1]))
    assert confusion.tolist() == [[10, 0], [15, 0]]
    assert unmatched.tolist() == [5, 2]


# Reference figures: sklearn.metrics.adjusted_mutual_info_score (scikit-learn 1.9) on one entry for each pixel.
@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([[5, 1, 0], [2, 7, 3]], 0.2199945),
        ([[30, 2, 0, 1], [0, 25, 9, 0], [4, 4, 4, 21]], 0.5351804),
        ([[2, 2], [2, 2]], -0.1297447),
        ([[1, 1], [1, 1]], -0.5),
        ([[3, 0], [0, 9]], 1.0),
        ([[1, 1, 1]], 0.0),
        ([[7]], 1.0),
        (np.eye(4), 1.0),
    ],
)
def test_adjusted_mutual_information_is_the_library_s(counts: list[list[int]], expected: float) -> None:
    assert adjusted_mutual_information(np.array(counts, dtype=np.int64)) == pytest.approx(expected, abs=1e-6)


def test_the_expansion_for_large_counts_meets_the_exact_sum() -> None:
    sizes = (100_000.0, 120_000.0, 2_000_000.0)  # mean 6,000
    assert expected_term(*sizes) == pytest.approx(expected_term(*sizes, large_mean=math.inf), rel=1e-6)
    assert expected_term(*sizes) != expected_term(*sizes, large_mean=math.inf)  # two ways


def test_names_of_clusters_play_no_part_in_adjusted_mutual_information() -> None:
    counts = np.random.default_rng(0).integers(0, 4_000_000, (27, 32))
    shuffled = counts[:, np.random.default_rng(1).permutation(32)]
    assert adjusted_mutual_information(counts) == pytest.approx(adjusted_mutual_information(shuffled), rel=1e-9)
