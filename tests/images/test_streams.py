import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stego_cli.images.streams import by_shape, map_ahead


@pytest.fixture
def pool():
    with ThreadPoolExecutor(3) as executor:
        yield executor


def test_results_come_in_the_order_of_the_items(pool):
    later = threading.Event()

    def work(item):
        if item == 0:
            later.wait(5)
        if item == 2:
            later.set()
        return item * item

    assert list(map_ahead(pool, work, range(20), 4)) == [item * item for item in range(20)]


def test_no_more_is_begun_than_was_asked_for_ahead(pool):
    taken = []

    def items():
        for item in range(100):
            taken.append(item)
            yield item

    results = map_ahead(pool, str, items(), 5)
    for asked in range(1, 20):
        next(results)
        assert len(taken) <= asked + 5


def test_after_a_stop_nothing_new_is_begun_and_what_was_begun_is_yielded():
    stop, begun, go = threading.Event(), [], threading.Event()

    def work(item):
        begun.append(item)
        if item == 1:
            go.wait(5)
        return item

    with ThreadPoolExecutor(1) as single:
        results = map_ahead(single, work, range(100), 4, stop.is_set)
        assert next(results) == 0
        while 1 not in begun:
            pass
        stop.set()
        go.set()
        rest = list(results)
    assert rest[0] == 1
    assert begun == [0, *rest]
    assert len(rest) <= 4


def test_an_error_of_the_work_reaches_the_one_who_asks(pool):
    with pytest.raises(ZeroDivisionError):
        list(map_ahead(pool, lambda item: 1 // item, [1, 0], 2))


def shape(item):
    return None if item is None else (len(item),)


def test_items_of_one_shape_go_together_in_full_batches_and_the_rest_at_the_end():
    items = ["aa", "b", "cc", "d", "ee", "ff", "g"]
    batches = list(by_shape(items, shape, lambda: 2, 100))
    assert batches == [["aa", "cc"], ["b", "d"], ["ee", "ff"], ["g"]]


def test_an_item_without_a_shape_waits_for_nobody():
    assert list(by_shape(["a", None, "b"], shape, lambda: 2, 100)) == [[None], ["a", "b"]]


def test_of_many_shapes_only_so_many_items_are_held_and_none_is_lost():
    items = ["x" * length for length in range(1, 50)]
    held, out = 0, []

    def counted():
        nonlocal held
        for item in items:
            held += 1
            assert held <= 6
            yield item

    for batch in by_shape(counted(), shape, lambda: 4, 6):
        held -= len(batch)
        out += batch
    assert sorted(out, key=len) == items


def test_a_batch_size_that_shrinks_is_followed_at_once():
    sizes = iter([4, 4, 1, 1, 1])
    assert [len(batch) for batch in by_shape(["a"] * 5, shape, lambda: next(sizes), 100)] == [3, 1, 1]
