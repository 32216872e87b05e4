"""Which class each cluster is, by labelled pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stego_cli.class_edits import ClassEdits, EditError
from stego_cli.class_operations import renamed, split
from stego_cli.classes import ClassTable
from stego_cli.gallery.naming import named_edits, votes_of
from stego_cli.gallery.worth_labelling import worth_labelling
from stego_cli.images.ids import read_ids
from stego_cli.tasks.name_classes import suggest_photographs

TABLE = ClassTable(("road", "sky", "sign"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
# Clusters 0 and 2 are alike, then 1 and 3, then all.
HIERARCHY = ((0, 2), (1, 3), (0, 1))


def counts(*columns):
    return np.array(columns, np.int64).T


def test_a_cluster_is_what_its_labelled_pixels_mostly_are():
    votes = votes_of(counts((900, 50, 50), (0, 800, 0), (700, 0, 100), (10, 390, 0)), HIERARCHY)
    assert [vote.label for vote in votes] == [0, 1, 0, 1]
    assert [vote.pixels for vote in votes] == [1000, 800, 800, 400]
    assert votes[0].shares == ((0, 0.9), (1, 0.05), (2, 0.05))
    assert votes[0].certainty == pytest.approx(900 / (1000 + 0.003 * 3000))
    assert all(vote.sure for vote in votes)


def test_what_no_label_shows_is_what_the_clusters_most_alike_are_and_uncertain():
    votes = votes_of(counts((900, 0, 0), (0, 800, 0), (0, 0, 0), (0, 0, 0)), HIERARCHY)
    assert [vote.label for vote in votes] == [0, 1, 0, 1]
    assert (votes[2].pixels, votes[2].shares, votes[2].sure) == (0, (), False)
    # Nothing in 1 nor 3: what all clusters together are.
    votes = votes_of(counts((9, 0, 0), (0, 0, 0), (0, 7, 0), (0, 0, 0)), HIERARCHY)
    assert [vote.label for vote in votes] == [0, 0, 1, 0]


def test_a_few_pixels_are_weighed_against_clusters_alike():
    column = (0, 1, 0)  # one pixel of sky in a cluster whose neighbour is road all over
    votes = votes_of(counts((500_000, 0, 0), (0, 400_000, 0), column, (0, 300_000, 0)), HIERARCHY)
    assert votes[2].label == 0
    assert not votes[2].sure


def test_a_small_class_gets_a_cluster_that_it_nearly_fills():
    votes = votes_of(counts((90_000, 0, 0), (0, 90_000, 0), (520, 0, 480), (0, 10, 0)), HIERARCHY)
    assert votes[2].label == 2
    assert votes[0].label == 0


def test_without_a_hierarchy_a_cluster_without_labels_has_no_class_and_no_classs_number():
    votes = votes_of(counts((900, 0, 0), (0, 800, 0), (0, 0, 0), (0, 700, 0)), ())
    assert [vote.label for vote in votes] == [0, 1, None, 1]
    edits = named_edits(votes, TABLE, ClassEdits(4))
    assert [(entry.name, entry.value, entry.members) for entry in edits.legend] == [
        ("road", 0, (0,)),
        ("sky", 1, (1, 3)),
        ("class 2", 3, (2,)),
    ]
    odd = named_edits(votes, ClassTable(("class 2", "sky", "sign"), TABLE.own_colours), ClassEdits(4))
    assert odd.names == {0: "class 2", 1: "sky", 3: "unknown 2"}


def test_edits_join_and_masks_have_the_labels_numbers_and_colours():
    votes = votes_of(counts((0, 0, 900), (800, 0, 0), (0, 0, 70), (60, 0, 0)), HIERARCHY)
    edits = named_edits(votes, TABLE, ClassEdits(4))
    assert edits.names == {2: "sign", 0: "road"}
    assert edits.table[:5].tolist() == [2, 0, 2, 0, 255]
    assert edits.colours[2] == (3, 3, 3)


def test_labels_that_show_one_class_alone_make_no_classes():
    with pytest.raises(EditError, match="joined into one"):
        named_edits(votes_of(counts((9, 0, 0), (9, 0, 0), (9, 0, 0), (9, 0, 0)), HIERARCHY), TABLE, ClassEdits(4))


def test_photographs_that_show_most_are_worth_labelling_first():
    pixels = np.array([[90, 10, 0, 0], [0, 0, 50, 50], [100, 0, 0, 0], [30, 40, 30, 0], [0, 0, 95, 5]], np.int64)
    assert worth_labelling(pixels, 2) == [3, 1]
    assert sorted(worth_labelling(pixels, 9)) == [0, 1, 2, 3, 4]


def test_suggestions_are_read_from_the_journal(make_masks: Callable[..., Path]):
    masks = make_masks([f"x/{name}.jpg" for name in "abcdef"])
    (first, second) = suggest_photographs(masks, 2)
    assert first.path.startswith("x/")
    assert first.path != second.path
    mask = read_ids(next(masks.rglob(f"{Path(first.path).stem}.png")))
    assert first.classes == (np.bincount(mask.ravel()) >= mask.size / 100).sum()
    assert 0 < first.covered <= second.covered <= 1


def test_splits_stay():
    before = split(ClassEdits(3), 1, 2)
    votes = votes_of(counts((0, 0, 900), (800, 0, 0), (0, 0, 70), (60, 0, 0)), ())
    edits = named_edits(votes, TABLE, renamed(before, {0: "x"}))
    assert (edits.found, edits.splits, edits.names) == (3, before.splits, {2: "sign", 0: "road"})
