"""Streams of photographs: worked on ahead of need, and grouped by shape, always with a bounded number in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
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
    pending: set[Future[Result]] = set()
    for item in items:
        if stopped():
            break
        pending.add(pool.submit(work, item))
        if len(pending) >= ahead:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    while pending:
        done, pending = wait(pending, timeout=_GLANCE, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()
        if stopped():
            pending = {future for future in pending if not future.cancel()}


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
