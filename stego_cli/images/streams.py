"""Streams of photographs: worked on ahead of need, and grouped by shape, always with a bounded number in memory."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import Empty, SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_GLANCE = 0.2  # seconds between two checks whether to stop


def map_ahead(
    pool: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """Yield `work(item)` in the order of the items, computed in `pool` at most `ahead` before it is asked for.

    Once `stopped` returns True nothing new is begun; what was begun is yielded.
    """
    waiting: deque[Future[Result]] = deque()
    for item in items:
        if stopped():
            break
        waiting.append(pool.submit(work, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        future = waiting.popleft()
        if not (stopped() and future.cancel()):
            yield future.result()


def as_finished(
    pool: Executor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Result]:
    """Yield `work(item)` of every item as soon as it is done, with at most `ahead` of them begun or waiting.

    Once `stopped` returns True nothing new is begun; what was begun is yielded.
    """
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    begun: set[Future[Result]] = set()

    def begin(item: Item) -> None:
        future = pool.submit(work, item)
        begun.add(future)
        future.add_done_callback(finished.put)

    def next_result(timeout: float | None) -> Iterator[Result]:
        with contextlib.suppress(Empty):
            future = finished.get(timeout=timeout)
            begun.discard(future)
            if not future.cancelled():
                yield future.result()

    for item in items:
        if stopped():
            break
        begin(item)
        if len(begun) >= ahead:
            yield from next_result(None)
    while begun:
        yield from next_result(_GLANCE)
        if stopped():
            for future in list(begun):
                future.cancel()


def by_shape(
    items: Iterable[Item], shape: Callable[[Item], tuple[int, ...] | None], batch: Callable[[], int], held: int
) -> Iterator[list[Item]]:
    """Group items of one shape into batches.

    Args:
        items: in any order.
        shape: of an item; None for one that waits for no other and passes by itself.
        batch: size of a full batch, asked anew for each item.
        held: where shapes are many, at most this many items wait for others of their shape; beyond it the fullest
            group goes out as it is.
    """
    groups: dict[tuple[int, ...], list[Item]] = {}
    for item in items:
        key = shape(item)
        if key is None:
            yield [item]
            continue
        groups.setdefault(key, []).append(item)
        if len(groups[key]) >= batch() or sum(map(len, groups.values())) >= held:
            yield groups.pop(max(groups, key=lambda key: len(groups[key])))
    yield from groups.values()
