import math

import numpy as np
import pytest

from stego_cli.images.ids import Ids
from stego_cli.scoring.borders import border_counts, f_score, tolerance
from stego_cli.scoring.confusion import changes_across


def compared(preds: Ids, labels: Ids, counted: np.ndarray | None = None) -> list[int]:
    sides = ((preds, changes_across(preds)), (labels, changes_across(labels)))
    return border_counts(sides, counted).tolist()


def pixel_by_pixel(preds: Ids, labels: Ids, counted: np.ndarray) -> list[int]:
    """The same by definition: for every border pixel, look at the square around it."""
    height, width = labels.shape
    reach = tolerance(height, width)

    def borders(ids: Ids) -> np.ndarray:
        found = np.zeros(ids.shape, dtype=bool)
        for y in range(height):
            for x in range(width):
                for v, u in ((y, x - 1), (y - 1, x)):
                    if v >= 0 and u >= 0 and ids[y, x] != ids[v, u] and counted[y, x] and counted[v, u]:
                        found[y, x] = True
        return found

    def near(some: np.ndarray, others: np.ndarray) -> int:
        return sum(
            bool(others[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].any())
            for y, x in np.argwhere(some)
        )

    guess, truth = borders(preds), borders(labels)
    return [int(guess.sum()), near(guess, truth), int(truth.sum()), near(truth, guess)]


@pytest.mark.parametrize("shape", [(40, 64), (33, 61), (20, 200), (200, 20), (7, 1), (1, 9), (2, 130)])
def test_counts_are_those_of_the_definition(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(shape[1])
    labels, preds = (random.random((2, *shape)) < 0.01).cumsum(axis=2).astype(np.uint8)
    counted = random.random(shape) < 0.95
    assert compared(preds, labels, counted) == pixel_by_pixel(preds, labels, counted)
    assert compared(preds, labels) == pixel_by_pixel(preds, labels, np.ones(shape, dtype=bool))


def split(at: int, width: int = 640, height: int = 480) -> Ids:
    ids = np.zeros((height, width), dtype=np.uint8)
    ids[:, at:] = 1
    return ids


@pytest.mark.parametrize(("shift", "found"), [(0, 480), (6, 480), (-6, 480), (7, 0), (-7, 0)])
def test_a_border_within_six_pixels_at_640_by_480_is_right(shift: int, found: int) -> None:
    assert compared(split(320 + shift), split(320)) == [480, found, 480, found]


def test_a_reach_beyond_a_word_of_64_bits() -> None:
    # 12,000 pixels wide: the tolerance is 90 pixels, more than one word.
    assert tolerance(4, 12_000) == 90
    assert compared(split(5090, 12_000, 4), split(5000, 12_000, 4)) == [4, 4, 4, 4]
    assert compared(split(5091, 12_000, 4), split(5000, 12_000, 4)) == [4, 0, 4, 0]


def test_a_border_does_not_reach_round_into_the_next_row() -> None:
    assert compared(split(1, 64, 64), split(63, 64, 64)) == [64, 0, 64, 0]


def test_the_f_score_is_the_harmonic_mean() -> None:
    assert f_score(np.array([10, 5, 8, 8])) == pytest.approx(100 * 2 * 0.5 * 1.0 / 1.5)
    assert f_score(np.array([10, 0, 8, 0])) == 0.0
    assert f_score(np.array([0, 0, 8, 0])) == 0.0
    assert math.isnan(f_score(np.zeros(4, dtype=np.int64)))
