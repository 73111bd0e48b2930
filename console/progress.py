"""Progress: a bar on a terminal; elsewhere nothing, or a line now and then with the time left."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from console.output import Console, is_quiet

Thing = TypeVar("Thing")
# Between two lines where there is no terminal, in seconds.
LINE_SECONDS = 30.0


def with_progress(
    things: Iterable[Thing],
    total: int,
    title: str,
    clock: Callable[[], float] = time.monotonic,
    work: Callable[[Thing], float] | None = None,
) -> Iterator[Thing]:
    """Yield things and show how many of `total` have come and the time left, on stderr.

    `clock` gives seconds. `work` is called with each thing that has come and returns which share
    of the work is done then; without it, all things are the same work. With --quiet nothing is
    shown.
    """
    if is_quiet():
        yield from things
        return
    console = Console(stderr=True)
    if console.is_terminal and total:
        with Progress(console=console) as progress:
            bar = progress.add_task(title, total=1.0)
            for count, thing in enumerate(things, start=1):
                yield thing
                progress.update(bar, completed=work(thing) if work else count / total)
        return
    begun = told = clock()
    for count, thing in enumerate(things, start=1):
        yield thing
        now, done = clock(), work(thing) if work else count / total
        if now - told >= LINE_SECONDS and count < total and done:
            told, left = now, (now - begun) / done * (1 - done)
            print(f"{title}: {count:,} of {total:,}, {_time_text(left)} left", file=sys.stderr)


def _time_text(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return (
        f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {minutes} min"
    )


@contextmanager
def byte_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar of `total` bytes on by some more bytes."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, disable=is_quiet() or not console.is_terminal
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda more: progress.advance(task, more)


def no_bar(more: int) -> None:
    """Show nothing of so many more bytes."""
