"""Which clusters a coarser choice joins."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from stego_cli.hierarchy import check_hierarchy, hierarchy_of, joined_at


def unit(*degrees):
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_the_most_alike_are_joined_first_and_sizes_move_what_is_joined():
    assert hierarchy_of(unit(0, 90, 5, 80)) == ((0, 2), (1, 3), (0, 1))
    # 0 and 20 degrees become one class at 19 degrees, or at 1: only then is 45 degrees nearer to 80 than to them.
    assert hierarchy_of(unit(0, 20, 51, 80), [0.05, 0.9, 0.3, 0.2]) == ((0, 1), (2, 3), (0, 2))
    assert hierarchy_of(unit(0, 20, 46, 80), [0.05, 0.9, 0.3, 0.2]) == ((0, 1), (0, 2), (0, 3))
    assert hierarchy_of(unit(0, 20, 46, 80), [0.9, 0.05, 0.3, 0.2]) == ((0, 1), (2, 3), (0, 2))
    assert hierarchy_of(unit(7)) == ()


def test_with_equal_sizes_it_is_the_average_linkage_of_cosine_distances():
    points = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    ours = hierarchy_of(points)
    theirs = linkage(points, "average", "cosine")
    for classes in range(1, 21):
        one, other = joined_at(ours, classes), fcluster(theirs, classes, "maxclust")
        assert len(set(one)) == classes
        assert len(set(zip(one, other.tolist(), strict=True))) == classes


def test_a_class_has_the_smallest_number_of_its_clusters():
    hierarchy = ((1, 3), (2, 4), (1, 2), (0, 1))
    assert joined_at(hierarchy, 9) == joined_at(hierarchy, 5) == [0, 1, 2, 3, 4]
    assert joined_at(hierarchy, 4) == [0, 1, 2, 1, 4]
    assert joined_at(hierarchy, 2) == [0, 1, 1, 1, 1]
    assert joined_at(hierarchy, 1) == joined_at(hierarchy, 0) == [0] * 5
    assert joined_at([(3, 1), (4, 3), (2, 0), (4, 0)], 2) == [0, 1, 0, 1, 1]  # as somebody else may write it


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([(0, 1)], "1 pairs, and 3 clusters need 2"),
        ([(0, 1), (1, 3)], "not 0 to 2"),
        ([(0, 1), (1, 0)], "does not connect"),
        ([(1, 2), (1, 2)], "does not connect"),
    ],
)
def test_what_is_no_hierarchy_is_refused(pairs, said):
    with pytest.raises(ValueError, match=said):
        check_hierarchy(pairs, 3)
    check_hierarchy([(0, 1), (1, 2)], 3)
    check_hierarchy([], 3)
