"""Edits of classes as values: what each operation does to names, colours and the lookup table, and what is refused."""

import numpy as np
import pytest

from stego_cli.class_edits import ClassEdit, ClassEdits, EditError
from stego_cli.class_operations import (
    dropped,
    joined,
    parted,
    pending_splits,
    recoloured,
    renamed,
    renumbered,
    split,
    transition,
)
from stego_cli.palette import palette

ELEVEN = ClassEdits(11)


def test_without_edits_every_class_keeps_its_number_name_and_colour():
    assert ELEVEN.table[:11].tolist() == list(range(11))
    assert set(ELEVEN.table[11:].tolist()) == {255}
    assert ELEVEN.colours == palette(11)
    assert ELEVEN.names == {number: f"class {number}" for number in range(11)}


def test_joined_classes_take_the_first_number_and_no_other_number_shifts():
    edits = renamed(joined(ELEVEN, [4, 7, 9], "road"), {3: "sky"})
    assert edits.table[:11].tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 8, 4, 10]
    assert edits.names[4] == "road"
    assert edits.names[3] == "sky"
    assert 7 not in edits.names
    assert [entry.members for entry in edits.legend if entry.number == 4] == [(4, 7, 9)]
    assert [number for number in range(11) if edits.is_named(number)] == [3, 4, 7, 9]


def test_a_join_takes_along_what_was_joined_before_and_a_name_that_one_has():
    edits = joined(ELEVEN, [4, 7], "road")
    edits = joined(edits, [2, 4])
    assert edits.edit(2) == ClassEdit(name="road", joins=(4, 7))
    assert edits.edit(4) == ClassEdit()
    assert parted(edits, 2).table[:5].tolist() == [0, 1, 2, 3, 4]


def test_values_without_a_gap_stay_so_when_a_join_is_taken_back():
    edits = renumbered(joined(ELEVEN, [4, 7, 9]))
    assert [entry.value for entry in parted(edits, 4).legend] == list(range(11))


def test_dropped_classes_become_void_with_all_that_was_joined_to_them():
    edits = dropped(joined(ELEVEN, [4, 7], "sky"), [4, 10])
    assert edits.drop == (4, 7, 10)
    assert edits.table[[4, 7, 10]].tolist() == [255, 255, 255]
    assert edits.names[255] == "void"
    assert len(edits.colours) == 256
    assert edits.colours[255] == (0, 0, 0)


def test_renumbered_classes_have_the_values_from_0_without_a_gap():
    edits = renumbered(dropped(joined(ELEVEN, [4, 7, 9]), [0]))
    assert [entry.value for entry in edits.legend] == list(range(8))
    assert edits.table[:11].tolist() == [255, 0, 1, 2, 3, 4, 5, 3, 6, 3, 7]
    assert edits.colours[0] == palette(11)[1]


def test_the_same_edits_in_another_order_are_equal():
    one = recoloured(renamed(ELEVEN, {3: "sky"}), {5: (1, 2, 3)})
    other = renamed(recoloured(ELEVEN, {5: (1, 2, 3)}), {3: "sky"})
    assert one == other
    assert renamed(ELEVEN, {}) == ELEVEN


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ClassEdits(0),
        lambda: ClassEdits(257),
        lambda: ClassEdits(3, {3: ClassEdit("sky")}),
        lambda: ClassEdits(3, {0: ClassEdit(joins=(0,))}),
        lambda: ClassEdits(4, {0: ClassEdit(joins=(2,)), 1: ClassEdit(joins=(2,))}),
        lambda: ClassEdits(4, {0: ClassEdit(joins=(1,)), 1: ClassEdit("sky")}),
        lambda: ClassEdits(4, {0: ClassEdit(joins=(1,))}, (1,)),
        lambda: ClassEdits(3, {0: ClassEdit(joins=(1, 2))}),
        lambda: ClassEdits(3, {}, (0, 1, 2)),
        lambda: ClassEdits(3, {0: ClassEdit("sky"), 1: ClassEdit("sky")}),
        lambda: ClassEdits(3, {0: ClassEdit("class 1")}),
        lambda: ClassEdits(3, {0: ClassEdit("  ")}),
        lambda: ClassEdits(3, {0: ClassEdit("x" * 201)}),
        lambda: ClassEdits(3, {0: ClassEdit("void")}, (1,)),
        lambda: ClassEdits(3, {0: ClassEdit(value=1)}),
        lambda: ClassEdits(3, {0: ClassEdit(value=255)}),
        lambda: ClassEdits(256, {}, (0,)),
        lambda: ClassEdits(3, {0: ClassEdit(colour=(0, 0, 256))}),
        lambda: joined(ELEVEN, [3]),
        lambda: joined(ELEVEN, [3, 3]),
        lambda: joined(joined(ELEVEN, [3, 4]), [4, 5]),
        lambda: renamed(ELEVEN, {11: "sky"}),
        lambda: renamed(dropped(ELEVEN, [3]), {3: "sky"}),
    ],
)
def test_edits_that_contradict_themselves_are_refused(wrong):
    with pytest.raises(EditError):
        wrong()


def test_one_class_may_be_left_beside_void_and_256_classes_fill_a_mask():
    assert dropped(ClassEdits(3), [0, 2]).table[:3].tolist() == [255, 1, 255]
    assert ClassEdits(256).table.tolist() == list(range(256))
    assert dropped(ClassEdits(256), [255]).table[255] == 255


def test_a_transition_brings_masks_from_one_state_to_the_next():
    labels = np.arange(11, dtype=np.uint8)
    before = joined(ELEVEN, [4, 7])
    after = renumbered(dropped(joined(before, [4, 9], "road"), [10]))
    table = transition(before, after)
    assert table[before.table[labels]].tolist() == after.table[labels].tolist()
    assert transition(after, after)[after.table[labels]].tolist() == after.table[labels].tolist()


def test_a_transition_that_would_have_to_separate_a_value_is_refused():
    with pytest.raises(EditError, match="Classes 4 and 7 were joined"):
        transition(joined(ELEVEN, [4, 7]), ELEVEN)
    with pytest.raises(EditError, match="Classes 1 and 2 were dropped"):
        transition(dropped(ELEVEN, [1, 2]), dropped(ELEVEN, [1]))
    with pytest.raises(EditError, match="11 classes"):
        transition(ClassEdits(5), ELEVEN)


def test_a_split_keeps_the_number_takes_the_next_free_ones_and_counts_the_names():
    edits = split(renamed(ELEVEN, {5: "road"}), 5, 3)
    assert (edits.found, edits.count) == (11, 13)
    assert {number: edits.names[number] for number in (4, 5, 11, 12)} == {
        4: "class 4",
        5: "road 1",
        11: "road 2",
        12: "road 3",
    }
    assert edits.table[:13].tolist() == list(range(13))
    assert edits.colours == palette(13)
    assert split(edits, 12, 2).names[13] == "road 3 2"
    assert joined(edits, [5, 11, 12], "road").table[:13].tolist() == [*range(11), 5, 5]


def test_splits_that_are_not_made_yet_are_told_and_none_is_taken_back():
    once, twice = split(ELEVEN, 5, 3), split(split(ELEVEN, 5, 3), 12, 2)
    assert pending_splits(ELEVEN, twice) == ((5, 3), (12, 2))
    assert pending_splits(once, twice) == ((12, 2),)
    with pytest.raises(EditError, match="cannot be taken back"):
        pending_splits(twice, once)
    with pytest.raises(EditError, match="needs the model"):
        transition(once, twice)
    with pytest.raises(EditError, match="is a join of 4, 5"):
        split(joined(ELEVEN, [4, 5]), 4, 2)
    with pytest.raises(EditError, match="was dropped"):
        split(dropped(ELEVEN, [4]), 4, 2)
    with pytest.raises(EditError, match="the same name, 'road 2'"):
        split(renamed(ELEVEN, {5: "road", 6: "road 2"}), 5, 2)
