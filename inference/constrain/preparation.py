"""How much work preparing the schemas of one reply may take.

Counted are the tokens and bytes that are tried on the grammar, and the steps of patterns; what was
prepared before and is still kept costs nothing. A reply under way has no such limit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# About a second of one core; 200 ordinary tools take a tenth of it.
MOST_WORK = 200_000


class TooMuchWork(ValueError):
    """Preparing a reply's schemas takes more than MOST_WORK."""


@dataclass
class Work:
    """What one preparation may still do."""

    left: int


_WORK: ContextVar[Work | None] = ContextVar("preparation", default=None)


@contextmanager
def bounded_work() -> Iterator[Work]:
    """Let what runs inside spend MOST_WORK, whatever is left of a bound around it."""
    work = Work(MOST_WORK)
    before = _WORK.set(work)
    try:
        yield work
    finally:
        _WORK.reset(before)


def spend(steps: int = 1) -> None:
    """Count work; TooMuchWork where more is done than may be."""
    work = _WORK.get()
    if work is None:
        return
    work.left -= steps
    if work.left < 0:
        told = f"takes more than {MOST_WORK:,} steps to prepare, with the tools before it"
        raise TooMuchWork(told)
