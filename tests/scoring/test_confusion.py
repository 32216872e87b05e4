import numpy as np
import pytest

from stego_cli.images.ids import Ids
from stego_cli.scoring.confusion import Counts, changes_across, count, make_grid


def counted(
    labels: Ids, preds: Ids, classes: int, ignore: int | None = 255, remap: dict[int, int] | None = None
) -> Counts:
    grid = make_grid(classes, ignore, remap)
    labels = grid.remapped(labels)
    return count(labels, preds, grid, changes_across(labels) | changes_across(preds))


def one_by_one(labels: Ids, preds: Ids, classes: int, ignore: int | None = 255) -> Counts:
    clusters = max(classes, 256)
    counts = np.zeros((classes + 1, clusters + 1), dtype=np.int64)
    for label, pred in zip(labels.ravel().tolist(), preds.ravel().tolist(), strict=True):
        counts[classes if label >= classes or label == ignore else label, min(pred, clusters)] += 1
    return counts


@pytest.mark.parametrize("block", [1, 2, 9])  # noise is counted by pixels, areas by runs
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("ignore", [255, 2, None])
def test_counts_are_those_of_a_plain_loop(block: int, dtype: type, ignore: int | None) -> None:
    random = np.random.default_rng(block)
    top = 256 if dtype is np.uint8 else 700
    drawn = random.integers(0, 7, (2, 12, 9)).astype(dtype)
    drawn[random.random(drawn.shape) < 0.2] = top - 1
    labels, preds = (np.ascontiguousarray(side.repeat(block, 0).repeat(block, 1)[:-1, :-1]) for side in drawn)
    assert (counted(labels, preds, 5, ignore) == one_by_one(labels, preds, 5, ignore)).all()


def test_runs_of_one_row_end_with_it() -> None:
    labels = np.zeros((3, 50), dtype=np.uint8)
    preds = np.repeat(np.array([[4], [4], [0]], dtype=np.uint8), 50, axis=1)
    counts = counted(labels, preds, 2)
    assert counts[0, 4] == 100
    assert counts[0, 0] == 50
    assert counts.sum() == 150


def test_a_remapping_renames_and_drops_all_that_it_does_not_list() -> None:
    labels = np.array([[7, 8, 9, 300, 1]], dtype=np.uint16)
    preds = np.array([[0, 1, 2, 3, 4]], dtype=np.uint8)
    counts = counted(labels, preds, 3, remap={7: 0, 8: 1, 300: 2, 9: -1})
    assert np.argwhere(counts).tolist() == [[0, 0], [1, 1], [2, 3], [3, 2], [3, 4]]


def test_a_remapping_decides_over_the_ignored_value() -> None:
    labels = np.array([[255, 0]], dtype=np.uint8)
    counts = counted(labels, np.zeros_like(labels), 2, ignore=255, remap={255: 1})
    assert counts[:, 0].tolist() == [0, 1, 1]


def test_pixels_of_a_class_are_told_from_others() -> None:
    labels = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    assert make_grid(2, 255, None).counted(labels).tolist() == [[True, True, False, False]]
    assert make_grid(256, 255, None).counted(labels).tolist() == [[True, True, True, False]]
    assert make_grid(256, None, None).counted(labels) is None
