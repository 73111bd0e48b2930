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

# Starting processes takes a second or two: the first items are done in this one, so many or so
# many bytes of them.
FEW = 2000
FEW_BYTES = 8_000_000
# So many items travel at a time, or fewer where they are large: of each core's work three chunks
# are under way, so all of them together take MOST_WORKERS * 3 * CHUNK_BYTES in this process.
CHUNK = 250
CHUNK_BYTES = 1_000_000
# With more, this process cannot take the results as fast as they come, and each takes 60 MB.
MOST_WORKERS = 16


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    few: int | None = None,
    workers: int | None = None,
    chunk: int = CHUNK,
    size: Callable[[Item], int] = lambda _: 0,
) -> Iterator[Result]:
    """Yield function(item) for every item in order; past a `few` of them, from other processes.

    `function` and the items must be picklable; `chunk` of them travel at a time, or those that
    together have CHUNK_BYTES by their `size`. `few` defaults to FEW, `workers` to the cores at
    hand, at most MOST_WORKERS.
    """
    items = iter(items)
    few = FEW if few is None else few
    held = 0
    for item in islice(items, few):
        yield function(item)
        held += size(item)
        if held >= FEW_BYTES:
            break
    more = list(islice(items, 1))
    rest = chain(more, items)
    workers = workers or workers_at_hand()
    if workers == 1 or not more:
        yield from map(function, rest)
        return
    # Fresh processes: forking one that has threads (a progress bar's, torch's) can hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_parent)
    try:
        pending: deque[Future[list[Result]]] = deque()
        for block in chunks(rest, chunk, size):
            pending.append(pool.submit(_apply, function, block))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def chunks(items: Iterable[Item], most: int, size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Cut a stream into lists of `most` items, or of those that together reach CHUNK_BYTES."""
    chunk: list[Item] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += size(item)
        if len(chunk) == most or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _apply(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]


def workers_at_hand() -> int:
    """Return how many processes work at once: one for each core, at most MOST_WORKERS."""
    # What this process may use, which in a container is less than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_WORKERS)
    return min(os.cpu_count() or 1, MOST_WORKERS)


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
