"""Apply a function to a long stream on all cores, in order and in constant memory."""

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Starting processes takes a second or two: the first items are done in this one.
FEW = 2000
CHUNK = 250


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    few: int | None = None,
    workers: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[Result]:
    """Yield function(item) for every item in order; past a `few` of them, from other processes.

    `function` and the items must be picklable; `chunk` of them travel at a time. `few` defaults to
    FEW, `workers` to the cores at hand.
    """
    items = iter(items)
    yield from map(function, islice(items, FEW if few is None else few))
    more = list(islice(items, 1))
    rest = chain(more, items)
    workers = workers or _cores()
    if workers == 1 or not more:
        yield from map(function, rest)
        return
    # Fresh processes: forking one that has threads (a progress bar's, torch's) can hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_parent)
    try:
        pending: deque[Future[list[Result]]] = deque()
        while block := list(islice(rest, chunk)):
            pending.append(pool.submit(_apply, function, block))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def _cores() -> int:
    # What this process may use, which in a container is less than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _follow_parent() -> None:
    """Prepare a worker: it ignores Ctrl-C, which the parent handles, and ends with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Rows hold no reference cycles; frequent garbage collection takes some percent of the time.
    gc.freeze()
    gc.set_threshold(100_000)
    parent = parent_process()
    if parent is not None:
        # A killed parent cannot stop its workers; without this they wait for a task forever.
        Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
