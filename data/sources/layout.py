"""What a dataset layout is: how its rows are told from others, and how one is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from data.outcomes import Draft


@dataclass(frozen=True)
class Source:
    """A layout: what a row looks like (for messages), whether one is, and how one is read.

    `read` raises data.outcomes.Rejected, whose pointers go into the raw row.
    """

    looks_like: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any], Draft]
